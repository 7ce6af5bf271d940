import dataclasses
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import numpyvae as nv
from numpyvae.report import alt, plots

RECORDS = [nv.Record(epoch, 100 / epoch, 80 / epoch, 20 / epoch, nv.LossTerms(110 / epoch, 85 / epoch, 25 / epoch),
                     1.5, 1000.0) for epoch in range(1, 5)]


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (7, 5, 3), np.uint8)    # not square, and too few to fill the last row


def make_vae(rng, n_data=15, n_latent=4):
    return nv.VAE.dense(n_data, (6,), n_latent, rng=rng)


def canvas(ax):
    return np.asarray(ax.images[0].get_array())


def labels(ticks):
    return [tick.get_text() for tick in ticks]


def test_importing_it_imports_no_matplotlib():
    code = "import sys, numpyvae.report.plots, numpyvae.report.html; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_learning_curves_are_the_records(ax):
    assert plots.learning_curves(RECORDS, ax) is ax
    lines = {line.get_label(): line for line in ax.lines}
    assert len(lines) == 6
    for label, term in (("loss", "loss"), ("reconstruction (nll)", "nll"), ("KL", "kl")):
        training, validation = lines[f"{label}, training"], lines[f"{label}, validation"]
        assert list(training.get_xdata()) == list(validation.get_xdata()) == [1, 2, 3, 4]
        assert list(training.get_ydata()) == [getattr(record, term) for record in RECORDS]
        assert list(validation.get_ydata()) == [getattr(record.validation, term) for record in RECORDS]
        assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "nats per image")


def test_learning_curves_without_validation_and_of_one_term(ax):
    records = [nv.Record(1, 3.0, 2.0, 1.0, None, 1.0, 1.0)]
    plots.learning_curves(records, ax, terms=["kl"])
    assert [(line.get_label(), list(line.get_ydata())) for line in ax.lines] == [("KL, training", [1.0])]
    with pytest.raises(ValueError, match=r"records is \[\]; expected .* at least one"):
        plots.learning_curves([], ax)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_epochs_are_whole_numbers(n, ax):
    plots.learning_curves([dataclasses.replace(RECORDS[0], epoch=epoch) for epoch in range(1, n + 1)], ax)
    ticks = ax.get_xticks()
    assert len(ticks) and (ticks == np.round(ticks)).all()


def test_without_an_axes_a_new_figure_is_made():
    matplotlib.use("Agg")
    from matplotlib import pyplot
    first, second = plots.learning_curves(RECORDS), plots.learning_curves(RECORDS)
    assert first.figure is not second.figure
    pyplot.close("all")


def test_image_grid_holds_every_picture_in_its_place(images, ax):
    plots.image_grid(images, ax, columns=3)
    assert canvas(ax).shape == (3 * 5 + 2 * 2, 3 * 3 + 2 * 2, 4)
    for i in range(7):
        top, left = i // 3 * 7, i % 3 * 5
        np.testing.assert_allclose(canvas(ax)[top:top + 5, left:left + 3, 1], images[i] / 255)
    assert (canvas(ax)[14:, 5:, 3] == 0).all()    # nothing after the seventh


@pytest.mark.parametrize("shape, height, width", [((2, 16), 4, 4), ((2, 48), 4, 4), ((2, 4, 5, 3), 4, 5),
                                                  ((2, 4, 5, 1), 4, 5), ((2, 4, 5), 4, 5)])
def test_pictures_come_in_these_shapes(shape, height, width, rng, ax):
    images = rng.random(shape)
    plots.image_grid(images, ax, columns=1, gap=0)
    assert canvas(ax).shape == (2 * height, width, 4)
    rgb = images.reshape(2 * height, width, -1)
    np.testing.assert_allclose(canvas(ax)[..., :3], np.broadcast_to(rgb, (2 * height, width, 3)))


@pytest.mark.parametrize("shape", [(3, 50), (0, 16), (2, 4, 4, 2), (4,)])
def test_what_is_no_picture_is_named(shape, ax):
    with pytest.raises(ValueError, match="images has shape.*expected"):
        plots.image_grid(np.zeros(shape), ax)


def test_pixels_outside_the_range_are_black_or_white(ax):
    plots.image_grid(np.array([[[-1.0, 0.5, 2.0]]]), ax)
    assert canvas(ax)[0, :, 0].tolist() == [0, 0.5, 1]


def test_reconstructions_stand_below_their_originals(rng, images, ax):
    vae = make_vae(rng)
    plots.reconstructions(vae, images, ax, columns=4)
    again = vae.reconstruct(images.reshape(7, 15).astype(np.float32) / 255).reshape(7, 5, 3)
    for i in range(7):
        top, left = i // 4 * (2 * 5 + 1 + 4), i % 4 * 5    # a pixel between the two of a pair, four between the pairs
        np.testing.assert_allclose(canvas(ax)[top:top + 5, left:left + 3, 0], images[i] / 255)
        np.testing.assert_allclose(canvas(ax)[top + 6:top + 11, left:left + 3, 0], again[i], rtol=1e-6)
        assert (canvas(ax)[top + 11:top + 15, :, 3] == 0).all()
    assert labels(ax.get_yticklabels()) == 2 * ["original", "rebuilt"]


def test_the_latent_map_shows_the_dimensions_asked_for(rng, ax):
    means, thickness = rng.standard_normal((30, 5)), rng.random(30)
    plots.latent_map(means, thickness, "thickness, pixels", ax, (3, 1))
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), means[:, [3, 1]])
    np.testing.assert_array_equal(ax.collections[0].get_array(), thickness)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z[3], mean", "z[1], mean")
    assert "thickness, pixels" in [other.get_ylabel() for other in ax.figure.axes]    # the colour bar


def test_each_class_has_a_look_of_its_own_and_its_name(rng, ax):
    names = np.array(["_a", "$b$"] + [f"c{i}" for i in range(10)])
    means = rng.standard_normal((24, 2))
    plots.latent_map(means, np.tile(names, 2), "class", ax)
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == sorted(names)
    looks = {(handle.get_facecolor().tobytes(), handle.get_paths()[0].vertices.tobytes())
             for handle in legend.legend_handles}
    assert len(looks) == len(names)
    row = int(np.argmax(names == sorted(names)[1]))    # a point has the colour of its class in the legend
    here = [(points.get_offsets() == means[row]).all(axis=1) for points in ax.collections]
    drawn = [points.get_facecolor()[at][0] for points, at in zip(ax.collections, here) if at.any()]
    assert drawn[0][:3].tolist() == list(to_rgba(plots.CLASSES[1])[:3])
    ax.figure.canvas.draw()    # "$b$" is not drawn as a formula


@pytest.mark.parametrize("n_latent", [1, 2])
def test_the_latent_map_without_values(n_latent, rng, ax):
    means = rng.standard_normal((9, n_latent))
    plots.latent_map(means, ax=ax)
    np.testing.assert_array_equal(ax.collections[0].get_offsets()[:, 0], means[:, 0])
    assert ax.get_ylabel() == ("image" if n_latent == 1 else "z[1], mean")


def test_kl_per_dimension_is_the_formula_largest_first(rng, ax):
    mu, logvar = rng.standard_normal((2, 8, 3)) * [1, 5, 2]
    plots.kl_per_dimension(mu, logvar, ax)
    kl = np.mean((np.exp(logvar) + mu**2 - 1 - logvar) / 2, axis=0)
    order = np.argsort(-kl)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], kl[order], rtol=1e-12)
    assert labels(ax.get_xticklabels()) == [str(i) for i in order]
    assert "nats" in ax.get_ylabel()


def test_the_latent_grid_is_decoded_at_quantiles_of_the_prior(rng, ax):
    vae = make_vae(rng, n_latent=2)
    plots.latent_grid(vae, 3, (5, 3), ax)
    quantile = 0.9674215661    # of N(0, 1) at 5/6
    top_left, bottom_right = vae.decode(np.array([[-quantile, quantile], [quantile, -quantile]])).reshape(2, 5, 3)
    np.testing.assert_allclose(canvas(ax)[:5, :3, 0], top_left, rtol=1e-5)
    np.testing.assert_allclose(canvas(ax)[10:, 6:, 0], bottom_right, rtol=1e-5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z[0]", "z[1]")
    assert labels(ax.get_xticklabels()) == ["−1", "0", "1"]
    with pytest.raises(ValueError, match="n_latent is 4; expected 2"):
        plots.latent_grid(make_vae(rng), ax=ax)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 14, 15])
def test_the_latent_grid_is_labelled_the_same_on_both_sides_of_zero(n, rng, ax):
    plots.latent_grid(make_vae(rng, n_latent=2), n, (5, 3), ax)
    names = labels(ax.get_xticklabels())
    assert [name.replace("−", "") for name in names] == [name.replace("−", "") for name in names[::-1]]
    assert len(names) == len(set(names)) and names == labels(ax.get_yticklabels())
    middle = sum(ax.get_xlim()) / 2
    np.testing.assert_allclose(ax.get_xticks() + ax.get_xticks()[::-1], 2 * middle)


def test_a_traversal_moves_one_dimension_alone(rng, images, ax):
    vae = make_vae(rng)
    plots.latent_traversals(vae, images[0], [2, 0], steps=3, ax=ax)
    mu = vae.encode(plots.as_rows(images[:1]))[0]
    for row, dimension in enumerate([2, 0]):
        for column, value in enumerate([-3, 0, 3]):
            z = mu.copy()
            z[0, dimension] = value
            top, left = 7 * row, 5 * column
            picture = canvas(ax)[top:top + 5, left:left + 3, 0]
            np.testing.assert_allclose(picture, vae.decode(z).reshape(5, 3), rtol=1e-5)
    assert labels(ax.get_yticklabels()) == ["z[2]", "z[0]"]
    assert labels(ax.get_xticklabels()) == ["−3", "0", "3"]


@pytest.mark.parametrize("hidden, likelihood, boxes", [
    ((400, 200), "bernoulli", ["x\n784", "tanh\n400", "tanh\n200", "μ\n20", "log σ²\n20", "z\n20", "tanh\n200",
                               "tanh\n400", "logits\n784"]),
    ((), "gaussian-learned", ["x\n784", "μ\n20", "log σ²\n20", "z\n20", "means,\nlog σ²\n1568"])])
def test_the_network_shows_every_size_from_left_to_right(hidden, likelihood, boxes, ax):
    plots.network(nv.VAE.dense(784, hidden, 20, likelihood, "tanh", rng=np.random.default_rng(0)), ax)
    texts = [text for text in ax.texts if "\n" in text.get_text()]
    assert sorted(text.get_text() for text in texts) == sorted(boxes)
    at = sorted(texts, key=lambda text: (text.get_position()[0], -text.get_position()[1]))
    assert [text.get_text() for text in at] == boxes
    assert "ε ~ N(0, I)" in [text.get_text() for text in ax.texts]
    assert len(ax.patches) >= len(boxes)


def test_the_network_of_a_conditional_model_shows_where_the_label_goes_in(ax, rng):
    vae = nv.ConditionalVAE.dense(784, (400,), 20, n_classes=10, rng=rng)
    plots.network(vae, ax)
    assert {"x\nand label\n794", "z\nand label\n30"} < {text.get_text() for text in ax.texts}
    assert "x and label 794, then relu 400," in alt.network(vae) and "then z and label 30, then" in alt.network(vae)
