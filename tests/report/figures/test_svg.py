import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.report.figures.svg import MARKERS, SERIES, Drawing, Frame, colours, nice_ticks, standalone, tick_label


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


@pytest.mark.long
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


def test_standalone_file_carries_its_style_without_variables() -> None:
    drawing = Drawing(100, 50, "a", "")
    drawing.marker(5, 5, 1)
    text = standalone([drawing, Drawing(100, 60, "b", ""), Drawing(100, 60, "c", "")], "all")
    root = ElementTree.fromstring(text)
    assert len(root.findall("{http://www.w3.org/2000/svg}svg")) == 3
    assert "var(" not in text
    assert "@media" not in text
    assert f".drawing .m.c1{{fill:{colours()['s1']}" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def _luminance(colour: np.ndarray) -> float:
    """Relative luminance of WCAG 2."""
    share = colour / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _contrast(one: np.ndarray, other: np.ndarray) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_everything_is_legible(mode: str) -> None:
    palette = {name: np.array([int(hexa[i : i + 2], 16) for i in (1, 3, 5)]) for name, hexa in colours(mode).items()}
    paper, cell = palette["paper"], 0.6 * palette["shade"] + 0.4 * palette["paper"]
    for name in ("ink", "muted", "accent"):
        assert _contrast(palette[name], paper) >= 4.5
        assert _contrast(palette[name], palette["wash"]) >= 4.5
    assert _contrast(palette["ink"], cell) >= 4.5
    for series in range(SERIES):
        assert _contrast(palette[f"s{series}"], paper) >= 3


def test_the_first_series_differ_for_every_eye() -> None:
    """Distances after a simulation of missing red, green and blue cones (Viénot 1999, linear RGB)."""
    blind = [
        np.array([[0.11, 0.89, 0], [0.11, 0.89, 0], [0.004, -0.004, 1]]),
        np.array([[0.29, 0.71, 0], [0.29, 0.71, 0], [-0.02, 0.02, 1]]),
        np.array([[1, 0.15, -0.15], [0, 0.87, 0.13], [0, 0.87, 0.13]]),
    ]
    for mode in ("light", "dark"):
        palette = colours(mode)
        series = [np.array([int(palette[f"s{k}"][i : i + 2], 16) / 255 for i in (1, 3, 5)]) ** 2.2 for k in range(4)]
        for eye in blind:
            seen = [np.clip(eye @ colour, 0, 1) ** (1 / 2.2) for colour in series]
            assert min(np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]) > 0.1
