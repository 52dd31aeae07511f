"""The best value of each arm after k draws of tuning, and the ranks of the arms after k draws."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from equipoise.report.figures.figure import NARROW, PANEL, WIDE, Figure
from equipoise.report.figures.interval_rows import padded
from equipoise.report.figures.learning import whole_ticks
from equipoise.report.figures.svg import Drawing, Frame, nice_ticks


def best_after_figure(tuning: Mapping[str, Any], label: str) -> Figure | None:
    """Draw one panel per arm on common axes: the best value after k draws with its band; None without any value."""
    rows = tuning["best_after"]
    if not rows:
        return None
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    limits = padded([row[key] for row in rows for key in ("expected", "low", "high")])
    most = (1.0, float(max(2, *(row["draws"] for row in rows))))
    panels = tuple(
        _panel(arm, index, [row for row in rows if row["arm"] == arm], most, limits, label)
        for index, arm in enumerate(arms)
    )
    keys = ("arm", "draws", "expected", "low", "high")
    return Figure(
        "tuning-best",
        "Best after k draws",
        f"The {label} that the best of k draws reaches: mean over every subset of k of the draws made (line) and the "
        "range of the middle 80 % of subsets (band). A failed draw counts as the worst value of all. An arm whose "
        "curve is still steep at its end would gain from a larger budget.",
        panels,
        keys,
        tuple(tuple(row[key] for key in keys) for row in rows),
    )


def _panel(
    arm: str,
    series: int,
    rows: Sequence[Mapping[str, Any]],
    most: tuple[float, float],
    limits: tuple[float, float],
    label: str,
) -> Drawing:
    draws, expected, low, high = (np.array([row[key] for row in rows]) for key in ("draws", "expected", "low", "high"))
    words = f"{expected[0]:.3g} after one draw, {expected[-1]:.3g} after {draws[-1]}"
    drawing = Drawing(PANEL, 214, f"Best after k draws of {arm}", words)
    drawing.text(0, 12, arm, "head")
    frame = Frame(drawing, 38, 42, PANEL - 44, 130, most, limits)
    frame.y_axis(nice_ticks(*limits, 4), label)
    frame.x_axis(whole_ticks(most), "draws")
    frame.band(draws, low, high, f"area c{series % 8}")
    frame.curve(draws, expected, f"s c{series % 8}")
    for at, value in zip(draws, expected, strict=True):
        drawing.marker(float(frame.x(at)), float(frame.y(value)), series, 3)
    return drawing


def _rank_axis(frame: Frame, count: int) -> None:
    for rank in range(1, count + 1):
        at = float(frame.y(-rank))
        frame.drawing.line(frame.left, at, frame.left + frame.width, at, "rule")
        frame.drawing.text(frame.left - 7, at + 4, str(rank), "tick", "end")
    frame.drawing.text(0, frame.top - 14, "mean rank, best on top", "label")


def draw_rank_figure(ranks: Sequence[Mapping[str, Any]], title: str, caption: str) -> Figure | None:
    """Draw the mean rank of every arm after k draws; None for a single arm or without values.

    ranks: rows of "draws", "arm" and "rank" (1 = best).
    """
    arms = list(dict.fromkeys(row["arm"] for row in ranks))
    if len(arms) < 2:
        return None
    return Figure(
        "tuning-ranks",
        title,
        caption,
        (_lines(ranks, arms, WIDE),),
        ("draws", "arm", "rank"),
        tuple((row["draws"], row["arm"], row["rank"]) for row in ranks),
        (_lines(ranks, arms, NARROW),),
    )


def _lines(ranks: Sequence[Mapping[str, Any]], arms: Sequence[str], width: float) -> Drawing:
    draws = sorted({row["draws"] for row in ranks})
    of = {(row["arm"], row["draws"]): row["rank"] for row in ranks}
    last = sorted(arms, key=lambda arm: of[arm, draws[-1]])
    height = 110 + 20.0 * len(arms)
    drawing = Drawing(width, height, "Rank after k draws", f"After {draws[-1]} draws, best first: {', '.join(last)}")
    room = 230.0 if width > NARROW else 130.0
    # Ranks are drawn as their negatives, so that the first is on top.
    span = (-float(len(arms)), -1.0)
    frame = Frame(drawing, 30, 34, width - 40 - room, height - 84, (1.0, max(2.0, draws[-1])), span)
    _rank_axis(frame, len(arms))
    frame.x_axis(whole_ticks(frame.x_range), "draws of each arm")
    for index, arm in enumerate(arms):
        values = np.array([of[arm, k] for k in draws])
        frame.curve(draws, -values, f"s c{index % 8}")
        for k, value in zip(draws, values, strict=True):
            drawing.marker(float(frame.x(k)), float(frame.y(-value)), index, 3.5)
    for place, arm in enumerate(last):
        y = frame.top + (place + 0.5) * frame.height / len(last)
        end, right = float(frame.y(-of[arm, draws[-1]])), frame.left + frame.width
        drawing.line(float(frame.x(draws[-1])) + 6, end, right + 18, y, "rule")
        drawing.text(right + 22, y + 4, f"{arm} {of[arm, draws[-1]]:.1f}", "small")
    return drawing
