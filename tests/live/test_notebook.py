"""Progress in a notebook is one output that is drawn again; elsewhere there is none."""

import sys
import types

import pytest

from equipoise.live.notebook import NotebookDisplay, watch_here
from equipoise.progress import silent


class FakeDisplay(types.ModuleType):
    """What is used of IPython.display."""

    def __init__(self):
        super().__init__("IPython.display")
        self.shown = []

    def HTML(self, text):
        return text

    def display(self, content, display_id):
        assert display_id is True
        self.shown.append(content)
        return types.SimpleNamespace(update=self.shown.append)


def test_nothing_is_shown_outside_of_a_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert watch_here() is silent
    monkeypatch.delitem(sys.modules, "IPython")
    assert watch_here() is silent


def test_a_notebook_is_recognised(monkeypatch):
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", FakeDisplay())
    assert isinstance(watch_here(), NotebookDisplay)


def test_one_output_shows_stages_then_the_table(running, held):
    display = FakeDisplay()
    watch = NotebookDisplay(display, running.path)
    watch("reading <cases>", 3, 10)
    running.epochs(2)
    watch("training, epochs", 2, 16)
    assert display.shown[0] == "<pre>reading &lt;cases&gt; 3/10</pre>"
    assert "<td>2/4</td>" in display.shown[1]


def test_a_folder_that_cannot_be_read_falls_back_to_a_line(tmp_path):
    display = FakeDisplay()
    NotebookDisplay(display, tmp_path)("training, epochs", 2, 16)
    assert display.shown == ["<pre>training, epochs 2/16</pre>"]


@pytest.mark.long
def test_real_ipython_outside_of_a_notebook_shows_nothing():
    pytest.importorskip("IPython", reason="IPython is not installed")
    assert watch_here() is silent
