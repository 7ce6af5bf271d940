import os
import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest

import numpyvae as nv
from numpyvae.report.html import write_report

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a page says and refers to; fails where its elements are not nested as they should be."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.ids, self.text, self.elements = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def labels(self, tag):
        """What the elements of a kind are said to show."""
        return [dict(attributes)["aria-label"] for name, attributes in self.elements
                if name == tag and "aria-label" in dict(attributes)]

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.elements.append((tag, attributes))
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]) and data.strip():
            self.text.append(data.strip())


@pytest.fixture
def report(tmp_path, rng):
    """Train a small model for two epochs and write its report; returns the page's text."""
    def write(images, n_latent=3, validate=True, likelihood="bernoulli", **options):
        vae = nv.VAE.dense(int(np.prod(images.shape[1:])), (6,), n_latent, likelihood, rng=rng)
        records = list(nv.fit(vae, images, optimizer=nv.Adam(), epochs=2, batch_size=10, rng=rng,
                              validation=images if validate else None))
        path = tmp_path / "report.html"
        write_report(path, vae, records, images, **options)
        assert os.listdir(tmp_path) == ["report.html"]
        return path.read_text(encoding="utf-8")
    return write


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (30, 8, 6), np.uint8)


def headings(text):
    return re.findall("<h3>(.*?)</h3>", text)


PICTURES = ["Images and their reconstructions", "Samples from the prior"]
PLAY = "Play with the model"
CURVES = ["The loss and its parts", "The loss alone, from epoch 1 on"]


def test_every_panel_is_there(report, images, rng):
    text = report(images, labels=np.arange(30) % 4, thickness=rng.random(30), metrics={"active units": 3},
                  configuration={"hidden": [6], "optimizer": "adam"})
    assert headings(text) == [*CURVES, *PICTURES, PLAY, "Which image lies where", "The latent map by class",
                              "The latent map by thickness",
                              "A walk along single dimensions", "What each dimension says", "The network",
                              "Configuration", "More numbers"]
    page = Page(text)
    assert page.tags.count("svg") == 10
    assert {"optimizer", "Adam", "active units", "test loss", "nats per image"} <= set(page.text)


def test_it_needs_nothing_but_itself(report, images):
    text = report(images, labels=np.arange(30) % 4)
    page = Page(text)
    assert page.links and all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert not re.search(r"@import|url\((?!#|'#|\"#|data:image/png;base64,)", text)
    assert "link" not in page.tags and page.tags.count("script") == 1
    assert re.findall("<iframe [^ =]*=", text) == ["<iframe data-page="]    # the page within it is in this file, too
    script = re.search("<script>(.*?)</script>", text, re.S).group(1)
    assert not re.search(r"fetch|XMLHttp|import|https?:|innerHTML|eval", script)
    named = {link[1:] for link in page.links if link.startswith("#")} | set(re.findall(r"url\(#(\w+)\)", text))
    assert named <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert len(text) < 2_000_000


def test_the_headline_is_the_last_validation(report, images):
    text = report(images, metrics={"test_loss": 12345.678, "epochs": 2})
    numbers = dict(zip(re.findall("<dt>(.*?)</dt>", text), re.findall("<dd>(.*?)<small>", text)))
    assert numbers["test loss"] == "12345.7"
    assert numbers["epochs"] == "2"
    assert set(numbers) == {"test loss", "reconstruction part", "KL part", "epochs", "seconds per epoch",
                            "images per second"}


def test_without_validation_there_is_no_test_loss(report, images):
    assert "test loss" not in Page(report(images, validate=False)).text


def test_all_text_is_escaped(report, images):
    evil = "<b>&\"'$x</b>"
    text = report(images, title=evil, labels=np.array([evil, "_"] * 15), configuration={evil: evil},
                  metrics={evil: 1.0}, commands=[evil], date=evil, run=evil)
    page = Page(text)
    assert "b" not in page.tags
    assert page.text.count(evil) >= 7    # twice the title, two legends, the configuration, the numbers, the command
    assert any(f"class {evil}:" in label for label in page.labels("circle"))


@pytest.mark.parametrize("shape, options", [((30, 50), {}), ((30, 16), {}), ((30, 4), {"columns": list("abcd")})])
def test_data_that_are_not_pictures_are_drawn_as_rows(shape, options, report, rng):
    text = report(rng.normal(0, 1, shape).astype(np.float32), likelihood="gaussian", **options)
    assert headings(text) == [*CURVES, "Rows and their reconstructions", "New rows from the prior", PLAY,
                              "The latent map", "What each dimension says", "The network", "Configuration"]


@pytest.mark.parametrize("shape, n_latent, panel", [
    ((8, 6), 2, "The latent space, decoded"), ((4, 4, 3), 2, "The latent space, decoded"),
    ((16,), 1, "A walk along single dimensions"), ((40, 70), 12, "A walk along single dimensions")])
def test_pictures_of_other_shapes_and_other_latent_spaces(shape, n_latent, panel, report, rng):
    text = report(rng.integers(0, 256, (30, *shape), np.uint8), n_latent)
    assert set(PICTURES + [panel]) <= set(headings(text))


def test_the_thickness_map_shows_the_dimensions_that_follow_it(report, rng, monkeypatch):
    def encode(self, x, labels=None):
        mu = rng.standard_normal((len(x), 5)).astype(np.float32)
        mu[:, 3], mu[:, 1] = -x[:, 0], x[:, 0] + 0.1 * mu[:, 1]
        mu[:, 4] = 2    # constant
        return mu, np.zeros_like(mu)

    x = rng.random((30, 50)).astype(np.float32)
    monkeypatch.setattr(nv.VAE, "encode", encode)
    text = report(x, 5, thickness=x[:, 0])
    shown = re.search("<h3>The latent map by thickness.*?</svg>", text, re.S).group()
    assert re.findall(r"z\[\d\], mean", re.sub("<!--.*?-->", "", shown)) == ["z[3], mean", "z[1], mean"]


def test_pictures_beyond_black_and_white_say_how_they_are_drawn(report, rng):
    words = "what lies below is black and what lies above white"
    assert words in report(rng.normal(0, 1, (12, 4, 4)), likelihood="gaussian")
    assert words not in report(rng.random((12, 4, 4)), likelihood="gaussian")


def test_an_image_or_two_are_enough(report, rng):
    assert PICTURES[0] in headings(report(rng.integers(0, 256, (11, 4, 4), np.uint8)))


def test_the_same_run_gives_the_same_page_whatever_the_users_style(images, tmp_path):
    vae = nv.VAE.dense(48, (6,), 3, rng=np.random.default_rng(0))
    records = [nv.Record(1, 3.0, 2.0, 1.0, None, 1.0, 1.0)]
    write_report(tmp_path / "a", vae, records, images)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "text.color": "white"}):
        write_report(tmp_path / "b", vae, records, images)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_users_matplotlib_is_left_alone(report, images):
    from matplotlib import pyplot
    before, figures = dict(matplotlib.rcParams), pyplot.get_fignums()
    report(images)
    assert dict(matplotlib.rcParams) == before and pyplot.get_fignums() == figures


@pytest.mark.parametrize("options, named", [
    (dict(labels=np.arange(3)), "labels has 3 values; expected 30"),
    (dict(thickness=np.zeros(31)), "thickness has 31 values; expected 30")])
def test_values_that_do_not_match_the_images_are_named(options, named, report, images, tmp_path):
    with pytest.raises(ValueError, match=named):
        report(images, **options)
    assert os.listdir(tmp_path) == []


def test_a_run_without_records_is_named(images, tmp_path, rng):
    with pytest.raises(ValueError, match="records is empty"):
        write_report(tmp_path / "r.html", nv.VAE.dense(48, (6,), 2, rng=rng), [], images)


@pytest.mark.parametrize("place", ["missing/report.html", "folder"])
def test_where_it_cannot_be_written_it_says_so_and_leaves_nothing(place, images, tmp_path, rng):
    (tmp_path / "folder").mkdir()
    vae = nv.VAE.dense(48, (6,), 2, rng=rng)
    with pytest.raises(OSError, match="the report cannot be written to .*choose a folder that you can") as error:
        write_report(tmp_path / place, vae, [nv.Record(1, 3.0, 2.0, 1.0, None, 1.0, 1.0)], images)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(tmp_path / "folder") == []


def test_what_made_it_and_what_comes_next(report, images):
    page = Page(report(images, commands=["numpyvae train --data 'my data'"], date="2026-11-29 16:00", run="/my runs/a",
                       configuration={"lr_end": None}))
    assert page.text.count("numpyvae train --data 'my data'") == 2    # at the top, and where it is told how it was made
    assert any("2026-11-29 16:00" in text for text in page.text)
    assert any(nv.__version__ in text for text in page.text)
    for command in ("train --resume '/my runs/a' --epochs 6", "evaluate '/my runs/a'", "sample '/my runs/a' --n 100",
                    "reconstruct '/my runs/a' --n 64", "encode '/my runs/a'"):
        assert f"numpyvae {command}" in page.text
    assert "#next" in page.links and "next" in page.ids


def test_a_run_that_cannot_go_on_is_not_told_to(report, images):
    assert "--resume" not in report(images, run="r", configuration={"lr_end": 1e-5})
    assert "What to do next" not in report(images)


def test_figures_say_what_they_show(report, images, rng):
    page = Page(report(images, labels=np.arange(30) % 4, thickness=rng.random(30)))
    figures = [label for label in page.labels("svg") if not label.startswith("A map of")]
    assert len(figures) == 9
    for label in figures:
        assert re.search(r"\d", label) and label.endswith(".") and len(label) > 60, label
    assert "nan" not in " ".join(figures)


def test_after_one_epoch_there_is_a_table_and_no_line_of_one_point(images, tmp_path, rng):
    vae = nv.VAE.dense(48, (6,), 3, rng=rng)
    record = nv.Record(1, 33.25, 22.5, 10.75, nv.LossTerms(34, 23, 11), 1.0, 1.0)
    write_report(tmp_path / "r.html", vae, [record], images)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert headings(text)[0] == "The loss and its parts after one epoch, in nats per image"
    assert {"33.25", "22.50", "10.75", "34.00"} <= set(Page(text).text)


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_images_and_one_dimension_leave_no_empty_plot(n, images, tmp_path, rng):
    vae = nv.VAE.dense(48, (6,), 1, rng=rng)
    write_report(tmp_path / "r.html", vae, [nv.Record(1, 33.25, 22.5, 10.75, None, 1.0, 1.0)], images[:n],
                 labels=np.zeros(n, int), thickness=np.ones(n))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert headings(text)[1:] == [*PICTURES, PLAY, "A walk along single dimensions", "The network", "Configuration"]
