"""Where the marks of a figure stand, and for which numbers: worked out by hand."""
import types

import numpy as np
import pytest
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


@pytest.mark.parametrize("n, columns, rows", [(1, 1, 1), (4, 2, 2), (5, 3, 2), (10, 4, 3)])
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
    plots.reconstructions(vae, rng.integers(0, 256, (23, height, 2), np.uint8), ax)
    pair = 2 * height + 1 + apart
    assert canvas(ax).shape[:2] == (3 * pair - apart, 4 * 10 - 2)    # three rows of ten
    middle = (height - 1) / 2
    expected = [at + middle for top in (0, pair, 2 * pair) for at in (top, top + height + 1)]
    np.testing.assert_allclose(ax.get_yticks(), expected)
    assert (canvas(ax)[2 * pair:, 4 * 3:, 3] == 0).all()    # the last pair has three images
    few = Figure().subplots()
    plots.reconstructions(vae, rng.integers(0, 256, (3, height, 2), np.uint8), few)
    assert canvas(few).shape[:2] == (2 * height + 1, 4 * 3 - 2)


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
    plots.latent_map(means, ax=ax, dimensions=(2, 0, 1))
    assert ax.collections[0].get_sizes() == pytest.approx([size])
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), means[:, [2, 0]])
    (circle,) = ax.patches
    assert circle.center == (0, 0) and circle.radius == 2 and ax.get_aspect() == 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z[2], mean", "z[0], mean")


def test_one_dimension_is_drawn_against_the_image_s_number(ax):
    plots.latent_map(np.array([[0.5], [-1.0], [2.0]]), ax=ax)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), [[0.5, 0], [-1, 1], [2, 2]])
    assert not ax.patches and (np.round(ax.get_yticks()) == ax.get_yticks()).all()


@pytest.mark.parametrize("dimensions, fits", [((0, 2), True), ((0, 3), False), ((1,), False), ((1, 2, 9), True)])
def test_two_dimensions_are_drawn_that_the_means_have(dimensions, fits, ax):
    try:
        plots.latent_map(np.zeros((4, 3)), ax=ax, dimensions=dimensions)
    except ValueError as error:
        assert "expected two of the 3 columns of means" in str(error) and not fits
    else:
        assert fits


def test_whole_numbers_are_classes_and_floats_have_a_colour_bar():
    for values, bars in ((np.arange(4), 0), (np.arange(4.0), 1), (np.array(list("abab")), 0)):
        ax = plots.latent_map(np.eye(4), values, "what", Figure().subplots())
        assert len(ax.figure.axes) == 1 + bars and (ax.get_legend() is None) == bool(bars)


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
    handles = [handle.get_facecolor()[0, :3].tobytes() for handle in ax.get_legend().legend_handles[:39]]
    assert handles == [looks[i][1] for i in range(min(n, 39))]


@pytest.mark.parametrize("n, step", [(3, 1), (25, 1), (26, 2), (60, 3)])
def test_no_more_bars_are_named_than_can_be_read(n, step, rng, ax):
    mu, logvar = rng.standard_normal((2, 8, n))
    plots.kl_per_dimension(mu, logvar, ax)
    order = np.argsort(-np.mean(np.exp(logvar) + mu**2 - logvar, axis=0))
    assert ticks(ax.xaxis) == {str(order[i]): i for i in range(0, n, step)}
    assert [bar.get_x() + bar.get_width() / 2 for bar in ax.patches] == pytest.approx(range(n))


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
    vae = nv.VAE.dense(15, (6,), 4, rng=rng)
    image = rng.integers(0, 256, (5, 3), np.uint8)
    plots.latent_traversals(vae, image, [3, 0], ax=ax)
    assert canvas(ax).shape[:2] == (2 * 7 - 2, 9 * 5 - 2)
    assert ticks(ax.xaxis) == {"−3": 1, "0": 21, "3": 41} and ticks(ax.yaxis) == {"z[3]": 2, "z[0]": 9}
    with pytest.raises(ValueError, match="dimensions is .*; expected numbers from 0 to 3"):
        plots.latent_traversals(vae, image, [4])
    with pytest.raises(ValueError, match="image has 14 numbers per image; expected 15"):
        plots.latent_traversals(vae, np.zeros((7, 2)), [0])
    with pytest.raises(TypeError, match="image has dtype int64; expected uint8, or floats"):
        plots.latent_traversals(vae, np.zeros((5, 3), np.int64), [0])


def test_layers_with_weights_have_their_sizes(rng):
    vae = nv.VAE.conv((11, 6, 1), (2, 5), 7, 3, activation="relu", rng=rng)
    assert plots.hidden_layers(vae.encoder) == [(36, "6×3×2\nrelu"), (30, "3×2×5\nrelu"), (7, "relu")]
    assert plots.hidden_layers(vae.decoder) == [(7, "relu"), (30, "3×2×5\nrelu"), (36, "6×3×2\nrelu"),
                                                (66, "11×6×1\nidentity")]

    class Own:
        params = {"w": np.ones(3)}
    network = types.SimpleNamespace(layers=[nv.Flatten(), Own(), nv.Dense(4, 9, "tanh", rng=rng), Own()])
    assert plots.hidden_layers(network) == [(0, "Own"), (9, "tanh"), (9, "Own")]


@pytest.mark.parametrize("n_classes, expected", [(None, ((6, "x"), (2, "z"))),
                                                 (3, ((9, "x\nand label"), (5, "z\nand label")))])
def test_what_goes_in_is_counted_with_its_label(n_classes, expected, rng):
    kind, options = (nv.VAE, {}) if n_classes is None else (nv.ConditionalVAE, {"n_classes": n_classes})
    assert plots.network_inputs(kind.dense(6, (4,), 2, rng=rng, **options)) == expected


def test_each_entry_of_a_gradient_check_has_a_cell_with_its_power_of_ten(ax):
    rows = [types.SimpleNamespace(component=name, path="kernel", errors=errors) for name, errors in (
        ("one", {"x": np.array([[1e-3, 0.0]]), "W": np.array([5.0])}), ("two", {"x": np.array([1e-16])}))]
    plots.gradient_errors(types.SimpleNamespace(rows=rows, failed=[]), ax)
    shown = np.ma.filled(ax.images[0].get_array(), np.nan)
    np.testing.assert_allclose(shown, [[-3, -17, 0], [-16, np.nan, np.nan]])
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


def test_bytes_become_rows_of_fractions(rng):
    images = rng.integers(0, 256, (2, 3, 4), np.uint8)
    rows = plots.as_rows(images)
    np.testing.assert_allclose(rows, images.reshape(2, 12) / 255, rtol=1e-6)
    assert rows.dtype == np.float32 and plots.as_rows(rows.tolist()).shape == (2, 12)
    assert plots.given(None) == {} and plots.given(3) == {"labels": 3}


def test_names_and_numbers_are_short():
    assert plots.short("a" * 20) == "a" * 20 and plots.short("a" * 21) == "a" * 18 + "..."
    assert [plots._number(x) for x in (-1.25, 0.04, -0.04, 2.0, 1.96)] == ["−1.2", "0", "0", "2", "2"]
