"""Rows of estimates with their intervals on one axis: the plot under both the overview and the forest plot."""

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.report.svg import Drawing, Frame, nice_ticks

_WIDE, _NARROW = 760.0, 350.0


@dataclass(frozen=True)
class Row:
    """One estimate with its interval (None where refused), single runs as small marks, and words beside it.

    series: number of its colour and marker; solid: False draws a hollow marker (baselines, no verdict).
    wide: a second, wider interval as a thin line (adjusted for all comparisons).
    """

    label: str
    words: str
    series: int
    estimate: float | None
    low: float | None
    high: float | None
    runs: tuple[float, ...] = ()
    solid: bool = True
    note: str = ""
    wide: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scale:
    """The common axis: its label, vertical lines (value, style), and a shaded zone (the margin)."""

    label: str
    lines: tuple[tuple[float, str], ...] = ()
    shade: tuple[float, float] | None = None
    limits: tuple[float, float] | None = None
    ends: tuple[str, str] = ("", "")


def draw_rows(rows: Sequence[Row], scale: Scale, title: str, description: str, narrow: bool = False) -> Drawing:
    """The rows in one drawing: labels left and numbers right of the plot, or above it where narrow."""
    step, top = (46.0, 14.0) if narrow else (34.0, 18.0)
    ends = 16.0 if any(scale.ends) else 0.0
    height = top + step * len(rows) + 42 + ends
    drawing = Drawing(_NARROW if narrow else _WIDE, height, title, description)
    left, width = (8.0, _NARROW - 16) if narrow else (232.0, 300.0)
    frame = Frame(drawing, left, top - 6, width, step * len(rows) + 6, _limits(rows, scale))
    _background(frame, scale)
    for index, row in enumerate(rows):
        line = top + step * index + (32 if narrow else step / 2)
        _words(drawing, row, line, narrow)
        _interval(frame, row, line)
    return drawing


def _limits(rows: Sequence[Row], scale: Scale) -> tuple[float, float]:
    if scale.limits is not None:
        return scale.limits
    values = [
        v for row in rows for v in (row.low, row.high, row.estimate, *row.runs, *(row.wide or ())) if v is not None
    ]
    values += [value for value, _ in scale.lines] + list(scale.shade or ())
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.06 * ((high - low) or 1.0)
    return low - room, high + room


def _background(frame: Frame, scale: Scale) -> None:
    bottom = frame.top + frame.height
    if scale.shade is not None:
        low, high = float(frame.x(scale.shade[0])), float(frame.x(scale.shade[1]))
        frame.drawing.rect(low, frame.top, high - low, frame.height, "shade")
    about = 4 if frame.width < 320 else 5
    frame.x_axis(nice_ticks(*frame.x_range, about), scale.label, grid=True)
    for value, style in scale.lines:
        at = float(frame.x(value))
        frame.drawing.line(at, frame.top, at, bottom, style)
    if any(scale.ends):
        frame.drawing.text(frame.left, bottom + 51, scale.ends[0], "tick")
        frame.drawing.text(frame.left + frame.width, bottom + 51, scale.ends[1], "tick", "end")


def _words(drawing: Drawing, row: Row, line: float, narrow: bool) -> None:
    if narrow:
        drawing.text(8, line - 14, row.label, "strong small")
        drawing.text(_NARROW - 8, line - 14, row.words, "small", "end")
        return
    # labels longer than their column take two lines, broken at the joining word
    first, joint, second = row.label.partition(" against ")
    if joint and len(row.label) > 30:
        drawing.text(216, line - 3, first, "strong small", "end")
        drawing.text(216, line + 11, "against " + second, "small", "end")
    else:
        drawing.text(216, line + 4, row.label, "strong", "end")
    drawing.text(548, line - 3 if row.note else line + 4, row.words)
    if row.note:
        drawing.text(548, line + 11, row.note, "note")


def _interval(frame: Frame, row: Row, line: float) -> None:
    if row.estimate is None:
        return
    if row.wide is not None:
        low, high = float(frame.x(row.wide[0])), float(frame.x(row.wide[1]))
        frame.drawing.line(low, line, high, line, f"s thin c{row.series % 8}")
    if row.low is not None and row.high is not None:
        low, high = float(frame.x(row.low)), float(frame.x(row.high))
        frame.drawing.line(low, line, high, line, f"s whisker c{row.series % 8}")
    for value in row.runs:
        at = float(frame.x(value))
        frame.drawing.line(at, line - 6, at, line + 6, f"seed c{row.series % 8}")
    frame.drawing.marker(float(frame.x(row.estimate)), line, row.series, 5, "m" if row.solid else "hollow")
