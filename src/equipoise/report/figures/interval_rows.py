"""Rows of estimates with their intervals on one axis, the basis of the overview and the forest plot."""

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.report.figures.figure import NARROW, WIDE
from equipoise.report.figures.svg import Drawing, Frame, nice_ticks

_PLOT, _NUMBERS = 250.0, 780.0
_ROOM = 50
"""Characters that fit on one line of a phone."""


@dataclass(frozen=True)
class Row:
    """One estimate with its interval (None where refused), single runs as small marks, and a text.

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
    """The common axis: its label, vertical lines (value, style), and a shaded range (the margin)."""

    label: str
    lines: tuple[tuple[float, str], ...] = ()
    shade: tuple[float, float] | None = None
    limits: tuple[float, float] | None = None
    ends: tuple[str, str] = ("", "")


def draw_rows(rows: Sequence[Row], scale: Scale, title: str, description: str, narrow: bool = False) -> Drawing:
    """Draw the rows: labels left and numbers right of the plot, or above it where narrow."""
    # All rows or none are stacked, so that their distances stay equal.
    stacked = narrow and any(len(row.label) + len(row.words) > _ROOM for row in rows)
    step, top = (62.0 if stacked else 46.0, 14.0) if narrow else (34.0, 18.0)
    ends = 16.0 if any(scale.ends) else 0.0
    height = top + step * len(rows) + 42 + ends
    drawing = Drawing(NARROW if narrow else WIDE, height, title, description)
    left, width = (8.0, NARROW - 16) if narrow else (_PLOT, _NUMBERS - _PLOT - 28)
    frame = Frame(drawing, left, top - 6, width, step * len(rows) + 6, _limits(rows, scale))
    _background(frame, scale)
    for index, row in enumerate(rows):
        line = top + step * index + (step - 14 if narrow else step / 2)
        if narrow:
            _words_above(drawing, row, line, stacked)
        else:
            _words_beside(drawing, row, line)
        with drawing.hint(": ".join(words for words in (row.label, row.words, row.note) if words)):
            _interval(frame, row, line)
    return drawing


def _limits(rows: Sequence[Row], scale: Scale) -> tuple[float, float]:
    if scale.limits is not None:
        return scale.limits
    values = [
        v for row in rows for v in (row.low, row.high, row.estimate, *row.runs, *(row.wide or ())) if v is not None
    ]
    return padded([*values, *(value for value, _ in scale.lines), *(scale.shade or ())])


def padded(values: Sequence[float]) -> tuple[float, float]:
    """Return axis limits with 6 % of room on both sides of the values; 0 to 1 (with room) without values."""
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


def _words_above(drawing: Drawing, row: Row, line: float, stacked: bool) -> None:
    if stacked:
        drawing.text(8, line - 30, row.label, "strong small halo")
        drawing.text(8, line - 14, " · ".join(words for words in (row.words, row.note) if words), "small halo")
        return
    drawing.text(8, line - 14, row.label, "strong small halo")
    drawing.text(NARROW - 8, line - 14, row.words, "small halo", "end")


def _words_beside(drawing: Drawing, row: Row, line: float) -> None:
    # Labels longer than their column take two lines, divided at the word "against".
    first, joint, second = row.label.partition(" against ")
    if joint and len(row.label) > 30:
        drawing.text(0, line - 3, first, "strong")
        drawing.text(0, line + 12, "against " + second)
    else:
        drawing.text(0, line + 4, row.label, "strong")
    drawing.text(_NUMBERS, line - 3 if row.note else line + 4, row.words)
    if row.note:
        drawing.text(_NUMBERS, line + 12, row.note, "note")


def _interval(frame: Frame, row: Row, line: float) -> None:
    if row.estimate is None:
        return
    # A marker at the edge would be read as a value there, so an estimate outside the axis is stated as such.
    if not frame.x_range[0] <= row.estimate <= frame.x_range[1]:
        below = row.estimate < frame.x_range[0]
        end = frame.left + (4 if below else frame.width - 4)
        frame.drawing.text(
            end, line + 4, "← off this axis" if below else "off this axis →", "tick", "start" if below else "end"
        )
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
