import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.report.svg import MARKERS, Drawing, Frame, nice_ticks, standalone, tick_label


def test_words_are_escaped_and_read_aloud() -> None:
    drawing = Drawing(100, 50, 'A "<b>" & C', "x < y")
    drawing.text(1, 2, "<script>")
    root = ElementTree.fromstring(drawing.inline())
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'A "<b>" & C'
    assert [child.text for child in root] == ['A "<b>" & C', "x < y", "<script>"]


def test_markers_differ_in_shape_not_only_in_colour() -> None:
    shapes = set()
    for series in range(len(MARKERS)):
        drawing = Drawing(10, 10, "", "")
        drawing.marker(5, 5, series)
        shapes.add(re.sub(r'class="[^"]*"', "", drawing.parts[0]))
    assert len(shapes) == len(MARKERS)


def test_a_line_breaks_where_a_value_is_missing() -> None:
    drawing = Drawing(10, 10, "", "")
    drawing.polyline([0, 1, 2, 3, 4, 5], [0, 1, np.nan, 3, 4, 5], "s")
    assert [part.count(",") for part in drawing.parts] == [2, 3]


def test_frame_maps_data_to_the_canvas() -> None:
    frame = Frame(Drawing(100, 100, "", ""), 10, 20, 50, 40, (0.0, 2.0), (0.0, 1.0))
    assert float(frame.x(1.0)) == 35
    assert float(frame.y(0.0)) == 60
    assert float(frame.y(1.0)) == 20
    assert float(frame.x(99)) == 60


def test_infinite_values_draw_nothing_wrong() -> None:
    drawing = Drawing(100, 100, "", "")
    Frame(drawing, 0, 0, 10, 10, (0.0, 1.0)).curve([0, 0.5, 1], [np.inf, 0.5, 0.6], "s")
    assert "nan" not in drawing.inline()
    assert "inf" not in drawing.inline()


@given(st.floats(-1e4, 1e4), st.floats(1e-4, 1e4), st.integers(2, 8))
def test_ticks_are_few_and_inside(low: float, span: float, about: int) -> None:
    ticks = nice_ticks(low, low + span, about)
    assert len(ticks) <= about + 3
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (0.0, float("nan"))])
def test_no_span_gives_one_tick(low: float, high: float) -> None:
    assert nice_ticks(low, high) == [low]


def test_tick_labels_share_their_decimals() -> None:
    ticks = [-0.05, 0.0, 0.5]
    assert [tick_label(tick, ticks) for tick in ticks] == ["−0.05", "0.00", "0.50"]


def test_standalone_file_carries_its_style_for_light_and_dark() -> None:
    text = standalone([Drawing(100, 50, "a", ""), Drawing(100, 60, "b", ""), Drawing(100, 60, "c", "")], "all")
    root = ElementTree.fromstring(text)
    assert len(root.findall("{http://www.w3.org/2000/svg}svg")) == 3
    assert "prefers-color-scheme:dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
