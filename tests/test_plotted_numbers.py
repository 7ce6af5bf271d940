"""Where the marks of a figure stand, and for which numbers: worked out by hand."""
import types

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import numpyvae as nv
from numpyvae.report import plots


@pytest.fixture
def ax():
    return Figure().subplots()


def canvas(ax):
    return np.asarray(ax.images[0].get_array())


def ticks(axis):
    return dict(zip([tick.get_text() for tick in axis.get_ticklabels()], axis.get_ticklocs().tolist(), strict=True))


def on_a_new_figure(rng):
    """Each figure, drawn without an Axes: (name, Axes, whether it has no frame above and to the right)."""
    vae, pictures = nv.VAE.dense(9, (6,), 2, rng=rng), rng.integers(0, 256, (4, 3, 3), np.uint8)
    mu, logvar = rng.standard_normal((2, 4, 2))
    rows = [types.SimpleNamespace(component="one", path="kernel", errors={"x": np.array([1e-3])})]
    return [("grid", plots.image_grid(pictures), False), ("again", plots.reconstructions(vae, pictures), False),
            ("map", plots.latent_map(mu), True), ("line", plots.latent_map(mu[:, :1]), True),
            ("kl", plots.kl_per_dimension(mu, logvar), True), ("plane", plots.latent_grid(vae, 2), False),
            ("traversals", plots.latent_traversals(vae, pictures[0], [0]), False),
            ("errors", plots.gradient_errors(types.SimpleNamespace(rows=rows, failed=[])), True)]


def test_without_an_axes_a_figure_is_made_and_frames_are_open_or_none(rng):
    seen = set()
    for name, ax, is_open in on_a_new_figure(rng):
        assert ax.figure not in seen, name
        seen.add(ax.figure)
        visible = {side for side in ("left", "right", "top", "bottom") if ax.spines[side].get_visible()}
        assert visible == ({"left", "bottom"} if is_open else set()), name
        if not is_open:    # ticks may name rows, and have no marks
            assert ax.xaxis.get_tick_params()["length"] == 0, name
        pyplot.close(ax.figure)


@pytest.mark.parametrize("n, columns, rows", [(1, 1, 1), (4, 2, 2), (5, 3, 2), (10, 4, 3), (50, 8, 7)])
def test_pictures_fill_a_square_two_pixels_apart(n, columns, rows, ax):
    plots.image_grid(np.zeros((n, 5, 3)), ax)
    alpha = canvas(ax)[..., 3]
    assert alpha.shape == (7 * rows - 2, 5 * columns - 2)
    filled = np.zeros((rows, 7, columns, 5))
    for i in range(n):
        filled[i // columns, :5, i % columns, :3] = 1
    np.testing.assert_array_equal(alpha, filled.reshape(7 * rows, 5 * columns)[:-2, :-2])
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0


@pytest.mark.parametrize("height, apart", [(6, 4), (18, 6)])
def test_pairs_of_rows_stand_apart_and_are_named_at_their_middles(height, apart, rng, ax):
    vae = nv.VAE.dense(2 * height, (6,), 2, rng=rng)
    plots.reconstructions(vae, rng.integers(0, 256, (21, height, 2), np.uint8), ax)
    pair = 2 * height + 1 + apart
    assert canvas(ax).shape[:2] == (3 * pair - apart, 4 * 10 - 2)    # three rows of ten
    middle = (height - 1) / 2
    expected = [at + middle for top in (0, pair, 2 * pair) for at in (top, top + height + 1)]
    np.testing.assert_allclose(ax.get_yticks(), expected)
    assert (canvas(ax)[2 * pair:, 4:, 3] == 0).all()    # the last pair has one image
    few = Figure().subplots()
    plots.reconstructions(vae, rng.integers(0, 256, (3, height, 2), np.uint8), few)
    assert canvas(few).shape[:2] == (2 * height + 1, 4 * 3 - 2)
    with pytest.raises(ValueError, match=f"images has 2 numbers per image; expected {2 * height}"):
        plots.reconstructions(vae, np.zeros((3, 1, 2)))


def test_a_conditional_model_is_given_the_labels(rng):
    vae = nv.ConditionalVAE.dense(4, (6,), 2, n_classes=3, rng=rng)
    images, labels = rng.integers(0, 256, (5, 2, 2), np.uint8), np.array([0, 2, 1, 1, 0])
    ax = plots.reconstructions(vae, images, Figure().subplots(), labels=labels)
    again = vae.reconstruct(plots.as_rows(images), labels=labels).reshape(5, 2, 2)
    np.testing.assert_allclose(canvas(ax)[3:, 4:6, 0], again[1], rtol=1e-6)
    ax = plots.latent_grid(vae, 1, ax=Figure().subplots(), labels=2)
    np.testing.assert_allclose(canvas(ax)[..., 0], vae.decode(np.zeros((1, 2)), labels=2).reshape(2, 2), rtol=1e-5)
    ax = plots.latent_traversals(vae, images[0], [1], 1, Figure().subplots(), labels=1)
    z = vae.encode(plots.as_rows(images[:1]), labels=1)[0] * [1, 0] + [0, -3]
    np.testing.assert_allclose(canvas(ax)[..., 0], vae.decode(z, labels=1).reshape(2, 2), rtol=1e-5)


@pytest.mark.parametrize("n, size", [(5, 36), (10, 36), (10_000, 36 / 8)])
def test_many_points_are_smaller_and_the_circle_has_a_radius_of_two(n, size, ax):
    means = np.random.default_rng(0).standard_normal((n, 3))
    plots.latent_map(means, ax=ax, dimensions=(2, 0))
    assert ax.collections[0].get_sizes() == pytest.approx([size])
    for values in np.linspace(0, 1, n), np.zeros(n, int):
        other = plots.latent_map(means, values, "a value", Figure().subplots())
        assert other.collections[0].get_sizes() == pytest.approx([size])
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), means[:, [2, 0]])
    (circle,) = ax.patches
    assert circle.center == (0, 0) and circle.radius == 2 and ax.get_aspect() == 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z[2], mean", "z[0], mean")


def test_one_dimension_is_drawn_against_the_image_s_number(ax):
    plots.latent_map(np.array([[0.5], [-1.0], [2.0]]), ax=ax)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), [[0.5, 0], [-1, 1], [2, 2]])
    assert not ax.patches and (np.round(ax.get_yticks()) == ax.get_yticks()).all()


@pytest.mark.parametrize("dimensions, fits", [((0, 20), True), ((0, 21), False), ((21, 0), False), ((1,), False),
                                              ((1, 2, 3), False), ((1, 1), False)])
def test_two_dimensions_are_drawn_that_the_means_have(dimensions, fits, ax):
    try:
        plots.latent_map(np.zeros((4, 21)), ax=ax, dimensions=dimensions)
    except ValueError as error:
        assert "expected two of the 21 columns of means" in str(error) and not fits
    else:
        assert fits


def test_a_plane_has_two_dimensions_and_both_may_be_fractions(ax):
    with pytest.raises(ValueError, match=r"dimensions is \(0, 2\); expected two of the 2 columns of means"):
        plots.latent_map(np.eye(2), dimensions=(0, 2))
    plots.latent_map(0.1 * np.eye(2), ax=ax)
    ax.patches[0].remove()    # the circle, for whose sake both axes go further
    ax.set_ylim(0, 0.1)
    assert (np.round(ax.get_yticks()) != ax.get_yticks()).any()


def test_whole_numbers_are_classes_and_floats_have_a_colour_bar():
    for values, bars in ((np.arange(4), 0), (np.arange(4.0), 1), (np.array(list("abab")), 0)):
        ax = plots.latent_map(np.eye(4), values, "what", Figure().subplots())
        assert len(ax.figure.axes) == 1 + bars and (ax.get_legend() is None) == bool(bars)
        named = ax.figure.axes[1].get_ylabel() if bars else ax.get_legend().get_title().get_text()
        assert named == "what"


def test_classes_are_named_as_their_owner_named_them(ax):
    plots.latent_map(np.eye(3), np.array(["$x$", "_y", "a long name " * 3]), "what", ax)
    texts = ax.get_legend().get_texts()
    assert [text.get_text() for text in texts] == ["$x$", "_y", "a long name a long..."]
    assert not any(text.get_parse_math() for text in texts)


@pytest.mark.parametrize("n", [10, 11, 39, 40, 1070])
def test_classes_share_ten_colours_and_six_shapes_and_39_are_named(n, ax):
    plots.latent_map(np.stack([np.arange(n), np.zeros(n)], axis=1), np.arange(n), "class", ax)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == [str(i) for i in range(min(n, 39))] + [f"and {n - 39:,} more"] * (n > 39)
    seen = {}
    for points in ax.collections:
        shape = points.get_paths()[0].vertices.tobytes()
        for (x, _), color in zip(points.get_offsets().tolist(), points.get_facecolors()):
            seen[int(x)] = shape, color[:3].tobytes()
    looks = [seen[i] for i in range(n)]
    assert len(set(looks)) == min(n, 60)
    for i in range(n):
        assert (looks[i][1] == looks[i % 10][1]) and looks[i][0] == looks[i // 10 % 6 * 10][0]
    handles = [(handle.get_paths()[0].vertices.tobytes(), handle.get_facecolor()[0, :3].tobytes())
               for handle in ax.get_legend().legend_handles[:39]]
    assert handles == looks[:39]


@pytest.mark.parametrize("n, step", [(3, 1), (25, 1), (26, 2), (60, 3)])
def test_no_more_bars_are_named_than_can_be_read(n, step, rng, ax):
    mu, logvar = rng.standard_normal((2, 8, n))
    plots.kl_per_dimension(mu, logvar, ax)
    order = np.argsort(-np.mean(np.exp(logvar) + mu**2 - logvar, axis=0))
    assert ticks(ax.xaxis) == {str(order[i]): i for i in range(0, n, step)}
    assert [bar.get_x() + bar.get_width() / 2 for bar in ax.patches] == pytest.approx(range(n))
    assert ax.get_xlabel() == "latent dimension, the largest KL first"


def test_of_equal_bars_the_first_dimension_comes_first(ax):
    plots.kl_per_dimension(np.ones((2, 21)) * ([1] * 20 + [2]), np.zeros((2, 21)), ax)
    assert list(ticks(ax.xaxis)) == ["20", *map(str, range(20))]


@pytest.mark.parametrize("n, named", [(1, [0]), (2, [0, 1]), (5, [0, 1, 2, 3, 4]), (9, [0, 2, 4, 6, 8]),
                                      (10, [0, 2, 7, 9])])
def test_the_grid_s_ticks_stand_at_the_middles_of_pictures(n, named, rng, ax):
    """The points are quantiles, to the right and upwards; rows are drawn from the top."""
    vae = nv.VAE.dense(15, (6,), 2, rng=rng)
    plots.latent_grid(vae, n, (5, 3), ax)
    from scipy import stats
    z = stats.norm.ppf((np.arange(n) + 0.5) / n)
    assert canvas(ax).shape[:2] == (5 * n, 3 * n)
    names = [f"{z[i]:.1f}".replace("-", "−").replace(".0", "").replace("−0", "0" if abs(z[i]) < 0.05 else "−0")
             for i in named]
    assert ticks(ax.xaxis) == dict(zip(names, [3 * i + 1.0 for i in named]))
    assert ticks(ax.yaxis) == dict(zip(names, [5 * (n - 1 - i) + 2.0 for i in named]))


def test_the_grid_is_15_by_15_and_a_picture_a_square_unless_a_shape_is_given(rng):
    vae = nv.VAE.dense(16, (6,), 2, rng=rng)
    assert canvas(plots.latent_grid(vae, ax=Figure().subplots())).shape[:2] == (60, 60)
    with pytest.raises(ValueError, match=r"shape is \(4, 5\); expected that of a picture with the model's 16 numbers"):
        plots.latent_grid(vae, 3, (4, 5))


def test_a_traversal_has_nine_steps_named_at_the_ends_and_in_the_middle(rng, ax):
    vae = nv.VAE.dense(42, (6,), 21, rng=rng)
    image = rng.integers(0, 256, (7, 6), np.uint8)
    plots.latent_traversals(vae, image, [20, 0, 3], ax=ax)
    assert canvas(ax).shape[:2] == (3 * 9 - 2, 9 * 8 - 2)
    assert ticks(ax.xaxis) == {"−3": 2.5, "0": 34.5, "3": 66.5} and ax.get_xlabel() == "value of the dimension"
    assert ticks(ax.yaxis) == {"z[20]": 3, "z[0]": 12, "z[3]": 21}
    for dimensions in [21], [0, 21], [21, 0]:
        with pytest.raises(ValueError, match="dimensions is .*; expected numbers from 0 to 20"):
            plots.latent_traversals(vae, image, dimensions)
    with pytest.raises(ValueError, match="image has 14 numbers per image; expected 42"):
        plots.latent_traversals(vae, np.zeros((7, 2)), [0])
    with pytest.raises(TypeError, match="images has dtype int64; expected uint8, or floats"):
        plots.image_grid(np.full((1, 4, 4), 100))
    with pytest.raises(TypeError, match="image has dtype int64; expected uint8, or floats"):
        plots.latent_traversals(vae, np.zeros((7, 6), np.int64), [0])
    plots.latent_traversals(vae, np.zeros((7, 6), bool), [0], ax=Figure().subplots())
    np.testing.assert_array_equal(canvas(plots.image_grid(np.eye(4, dtype=bool)[None], Figure().subplots()))[..., 0],
                                  np.eye(4))


def test_layers_with_weights_have_their_sizes(rng):
    vae = nv.VAE.conv((11, 6, 1), (2, 5), 7, 3, activation="relu", rng=rng)
    assert plots.hidden_layers(vae.encoder) == [(36, "6×3×2\nrelu"), (30, "3×2×5\nrelu"), (7, "relu")]
    assert plots.hidden_layers(vae.decoder) == [(7, "relu"), (30, "3×2×5\nrelu"), (36, "6×3×2\nrelu"),
                                                (66, "11×6×1\nidentity")]

    class Own:
        params = {"w": np.ones(3)}
    network = types.SimpleNamespace(layers=[nv.Flatten(), Own(), nv.Dense(4, 9, "tanh", rng=rng), Own()])
    assert plots.hidden_layers(network) == [(0, "Own"), (9, "tanh"), (9, "Own")]
    network.layers = [nv.Dense(4, 5, "tanh", rng=rng), nv.Dense(5, 6, "relu", rng=rng),
                      nv.Dense(6, 12, "silu", rng=rng), nv.Reshape((2, 3, 2))]
    assert plots.hidden_layers(network) == [(5, "tanh"), (6, "relu"), (12, "2×3×2\nsilu")]
    network.layers = [nv.Conv2d(2, 5, 3, activation="relu", rng=rng)]    # of pictures of any size
    assert plots.hidden_layers(network) == [(5, "5\nrelu")]


@pytest.mark.parametrize("n_classes, expected", [(None, ((6, "x"), (2, "z"))),
                                                 (3, ((9, "x\nand label"), (5, "z\nand label")))])
def test_what_goes_in_is_counted_with_its_label(n_classes, expected, rng):
    kind, options = (nv.VAE, {}) if n_classes is None else (nv.ConditionalVAE, {"n_classes": n_classes})
    assert plots.network_inputs(kind.dense(6, (4,), 2, rng=rng, **options)) == expected


@pytest.mark.parametrize("error, power", [(0.0, -17), (0.1, -1), (5.0, 0)])
def test_each_entry_of_a_gradient_check_has_a_cell_with_its_power_of_ten(error, power, ax):
    rows = [types.SimpleNamespace(component=name, path="kernel", errors=errors) for name, errors in (
        ("one", {"x": np.array([[1e-3, error]]), "W": np.array([0.2])}), ("two", {"x": np.array([1e-16])}))]
    plots.gradient_errors(types.SimpleNamespace(rows=rows, failed=[]), ax)
    shown = np.ma.filled(ax.images[0].get_array(), np.nan)
    np.testing.assert_allclose(shown, [[-3, power, np.log10(0.2)], [-16, np.nan, np.nan]])
    assert (ax.get_xlabel(), ax.figure.axes[1].get_ylabel()) == ("entry", "log10 of the relative error")
    assert ax.images[0].get_clim() == (-17, 0) and ticks(ax.yaxis) == {"one, kernel": 0, "two, kernel": 1}


@pytest.mark.parametrize("deviations", [2.0, 0.5])
def test_an_ellipse_goes_once_around_its_mean_at_so_many_deviations(deviations, ax):
    mu, logvar = np.array([[0.0, 1.0], [3.0, -2.0]]), np.log([[1.0, 4.0], [0.25, 9.0]])
    plots.ellipses(mu, logvar, ax, **({} if deviations == 2 else {"deviations": deviations}))
    for line, centre, width in zip(ax.lines, mu, np.exp(logvar / 2), strict=True):
        x, y = ((line.get_xydata() - centre) / width / deviations).T
        angle = np.unwrap(np.arctan2(y, x))
        np.testing.assert_allclose(x**2 + y**2, 1, rtol=1e-12)
        np.testing.assert_allclose(angle, np.linspace(0, 2 * np.pi, 100), atol=1e-9)
        assert line.get_linewidth() == 1.5


@pytest.mark.parametrize("shape, expected", [
    ((16,), (4, 4)), ((48,), (4, 4, 3)), ((12,), (2, 2, 3)), ((50,), None), ((4, 5), (4, 5)), ((4, 5, 1), (4, 5, 1)),
    ((4, 5, 3), (4, 5, 3)), ((4, 5, 4), (4, 5, 4)), ((4, 5, 2), None), ((4, 5, 3, 1), None), ((), None)])
def test_what_is_a_picture(shape, expected):
    assert plots.picture_shape(shape) == expected


def test_pictures_have_an_opacity(rng):
    rgba, grey = rng.random((2, 3, 4, 4)), rng.integers(0, 256, (2, 9), np.uint8)
    np.testing.assert_array_equal(plots._pictures(2 * rgba - 0.5), np.clip(2 * rgba - 0.5, 0, 1))
    found = plots._pictures(grey)
    np.testing.assert_allclose(found[..., :3], (grey / 255).reshape(2, 3, 3, 1).repeat(3, axis=3))
    assert (found[..., 3] == 1).all()
    bytes_too = np.rint(255 * rgba).astype(np.uint8)
    np.testing.assert_array_equal(plots._pictures(bytes_too), bytes_too / 255)
    np.testing.assert_array_equal(plots._pictures([[[-1.0, 0.5], [1.5, 1.0]]])[..., 0], [[[0, 0.5], [1, 1]]])
    with pytest.raises(ValueError, match=r"images has shape \(0, 5, 3\); expected .* at least one image"):
        plots._pictures(np.zeros((0, 5, 3)))


def test_bytes_become_rows_of_fractions(rng):
    images = rng.integers(0, 256, (2, 3, 4), np.uint8)
    rows = plots.as_rows(images)
    np.testing.assert_allclose(rows, images.reshape(2, 12) / 255, rtol=1e-6)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(plots.as_rows((images / 7).tolist()), images.reshape(2, 12) / 7)
    assert plots.given(None) == {} and plots.given(3) == {"labels": 3}


def test_names_and_numbers_are_short():
    assert plots.short("a" * 20) == "a" * 20 and plots.short("a" * 21) == "a" * 18 + "..."
    assert [plots._number(x) for x in (-1.25, 0.04, -0.04, 2.0, 1.96)] == ["−1.2", "0", "0", "2", "2"]
