"""Figures of the lessons: the diagram, pictures with a text, frames side by side."""
import base64
import io
import sys
import types

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import imread

from numpyvae.report import plots


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, with a stand-in for IPython, which only the extra `lessons` brings."""
    matplotlib.use("Agg")
    sent = []
    display = types.SimpleNamespace(display=lambda data, **how: sent.append((data, how)))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return sent


def test_the_diagram_lights_the_parts_that_are_named_and_no_other():
    ax = plots.diagram(["z", "decoder"], Figure().subplots())
    boxes = {text.get_text(): text.get_bbox_patch().get_facecolor() for text in ax.texts if text.get_text()}
    assert set(boxes) == set(plots.DIAGRAM)
    assert {name for name, color in boxes.items() if color == to_rgba(plots.BLUE)} == {"z", "decoder"}
    with pytest.raises(ValueError, match="lit is 'encodr'; expected one of"):
        plots.diagram(["encodr"], Figure().subplots())


@pytest.mark.parametrize("lit", [["x"], list(plots.DIAGRAM)])    # the lit are bold, so their boxes are longer
def test_no_arrow_of_the_diagram_touches_a_box(lit):
    figure = Figure(figsize=(7, 1.7))
    ax = plots.diagram(lit, figure.subplots())
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_bbox_patch().get_window_extent() for text in ax.texts if text.get_text()]
    arrows = [text.arrow_patch.get_window_extent() for text in ax.texts if not text.get_text()]
    assert len(arrows) == sum(len(following) for _, _, following in plots.DIAGRAM.values())
    for arrow in arrows:
        assert max(arrow.width, arrow.height) > 10
        assert not any(arrow.overlaps(box) for box in boxes)


def test_a_picture_is_shown_with_its_text_and_closed(shown):
    import matplotlib.pyplot as plt
    plt.plot([1, 2])
    plots.show('a line, "up" & away')
    (data, how), = shown
    assert 'alt="a line, &quot;up&quot; &amp; away"' in data["text/html"]
    assert data["image/png"] in data["text/html"]
    assert how == {"raw": True, "metadata": {"image/png": {"alt": 'a line, "up" & away'}}}
    assert data["text/plain"] == 'a line, "up" & away'
    assert np.ptp(imread(io.BytesIO(base64.b64decode(data["image/png"])))[..., :3]) > 0.5
    assert not plt.get_fignums()


def test_a_strip_draws_each_value_on_axes_of_its_own(shown):
    drawn = []
    plots.strip(lambda ax, value: drawn.append((ax, value)), (0.1, 0.2, 0.3), "three frames", size=(1, 1))
    assert [value for _, value in drawn] == [0.1, 0.2, 0.3]
    assert len({id(ax) for ax, _ in drawn}) == 3
    assert len(shown) == 1 and shown[0][0]["text/plain"] == "three frames"


def test_pictures_are_shown_in_rows_under_their_titles(shown, monkeypatch):
    import matplotlib.pyplot as plt
    titles, show = [], plots.show
    monkeypatch.setattr(plots, "show", lambda alt: (titles.extend(ax.get_title() for ax in plt.gcf().axes), show(alt)))
    plots.show_rows({"noise": np.ones((4, 5, 5)), "": np.zeros((3, 5, 5))}, "two rows", columns=3)
    assert titles == ["noise", ""]
    assert len(shown) == 1 and shown[0][0]["text/plain"] == "two rows"


def test_pictures_are_shown_side_by_side(shown, monkeypatch):
    import matplotlib.pyplot as plt
    places, show = [], plots.show
    monkeypatch.setattr(plots, "show", lambda alt: (places.extend(ax.get_subplotspec().rowspan.start
                                                                  for ax in plt.gcf().axes), show(alt)))
    plots.show_rows({name: np.ones((4, 5, 5)) for name in "abcd"}, "two by two", columns=2, across=2)
    assert places == [0, 0, 1, 1]


def test_rows_of_dots_stand_where_their_names_do(shown, monkeypatch):
    import matplotlib.pyplot as plt
    panels, show = [], plots.show
    monkeypatch.setattr(plots, "show", lambda alt: (panels.extend(plt.gcf().axes), show(alt)))
    plots.show_dots({"left": {"PCA": [0.3], "VAE": [0.5, 0.6]}, "right": {"PCA": [0.1], "VAE": [0.2]}}, "dots", "share",
                    {"VAE": plots.BLUE}, mark=0.1, xlim=(0, 1))
    assert [ax.get_title() for ax in panels] == ["left", "right"]
    *rows, dashed = panels[0].lines
    assert [list(row.get_xdata()) for row in rows] == [[0.3], [0.5, 0.6]]
    assert [set(row.get_ydata()) for row in rows] == [{0}, {1}]
    assert [row.get_color() for row in rows] == [plots.INK, plots.BLUE]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["PCA", "VAE"]
    assert set(dashed.get_xdata()) == {0.1} and panels[1].get_xlim() == (0, 1)


def test_an_ellipse_lies_at_its_standard_deviations():
    ax = Figure().subplots()
    plots.ellipses(np.array([[1.0, 2.0]]), np.log([[4.0, 9.0]]), ax, deviations=2)
    x, y = ax.lines[0].get_data()
    assert np.allclose(((x - 1) / 2)**2 + ((y - 2) / 3)**2, 4)


def test_the_diagrams_text_says_what_is_lit(shown):
    plots.show_diagram("z", "decoder")
    assert shown[0][0]["text/plain"].endswith(" Lit: z, decoder.")


def test_the_decision_tree_names_checks_of_the_examination_and_nothing_overlaps():
    from numpyvae.examination import MODEL_CHECKS
    checks = [check for _, check, _ in plots.SYMPTOMS]
    assert len(set(checks)) == len(checks) and set(checks) < set(MODEL_CHECKS)
    figure = Figure(figsize=(9, 5.2))
    ax = plots.symptom_tree(figure.subplots())
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_bbox_patch().get_window_extent() for text in ax.texts if text.get_bbox_patch()]
    words = [text.get_window_extent() for text in ax.texts if text.get_text() and not text.get_bbox_patch()]
    arrows = [text.arrow_patch.get_window_extent() for text in ax.texts if not text.get_text()]
    assert len(boxes) == 2 * len(checks) + 1 and len(arrows) == len(boxes)
    apart = [*boxes, *words]
    assert not any(one.overlaps(other) for i, one in enumerate(apart) for other in apart[:i])
    assert not any(arrow.overlaps(one) for arrow in arrows for one in apart)
    assert all(max(arrow.width, arrow.height) > 10 for arrow in arrows)


def test_the_trees_text_says_all_of_it(shown):
    plots.show_symptom_tree()
    text = shown[0][0]["text/plain"]
    assert all(question in text and f"the check {check}:" in text for question, check, _ in plots.SYMPTOMS)


def test_curves_are_drawn_as_far_as_asked_and_marked_where_they_end(shown, monkeypatch):
    import matplotlib.pyplot as plt
    panels, show = [], plots.show
    monkeypatch.setattr(plots, "show", lambda alt: (panels.extend(plt.gcf().axes), show(alt)))
    curves = {"a": {"one": [3.0, 2.0, 1.0], "two": [4.0, 4.0, 4.0]}, "b": {"one": [3.0, 2.5, np.nan]},
              "c": {"two": [1.0]}}
    for upto, ends in ((None, True), (2, False)):
        panels.clear()
        plots.show_curves(curves, "curves", "loss", {"one": plots.BLUE}, upto)
        first, second, third = panels
        assert [ax.get_title() for ax in panels] == list(curves)
        assert [text.get_text() for text in third.get_legend().get_texts()] == ["two"]
        assert list(first.lines[0].get_ydata()) == [3.0, 2.0, 1.0][:upto] and first.lines[0].get_color() == plots.BLUE
        assert list(first.lines[1].get_xdata()) == [1, 2, 3][:upto] and first.lines[1].get_color() == plots.INK
        assert [text.get_text() for text in second.texts] == (["NaN"] if ends else [])
        if ends:
            assert second.lines[1].get_xydata().tolist() == [[2, 2.5]]
    assert shown[0][0]["text/plain"] == "curves"
