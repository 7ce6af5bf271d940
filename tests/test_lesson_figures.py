"""Figures of the lessons: the diagram, pictures with a text, frames side by side."""
import base64
import io
import sys
import types

import matplotlib
import numpy as np
import pytest
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
