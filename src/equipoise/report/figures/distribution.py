"""The distribution of a per-case metric over the test cases, which shows failures that a mean hides.

Every prediction of every run is drawn, because a mean over runs would hide failures again.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.predictions import Predictions
from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.svg import Drawing, Frame, nice_ticks
from equipoise.statistics.endpoints import described

_BINS = 20


def distribution_figure(arms: Mapping[str, Predictions], metric: str, label: str, noun: str) -> Figure | None:
    """Draw one histogram per arm on common axes; None where no arm has the metric."""
    values = {arm: test.metrics[metric] for arm, test in arms.items() if metric in test.metrics}
    values = {arm: own for arm, own in values.items() if np.isfinite(own).any()}
    finite = np.concatenate([v[np.isfinite(v)] for v in values.values()]) if values else np.empty(0)
    if not finite.size:
        return None
    # The whole range of a bounded metric, so that a narrow cluster is not stretched over the panel.
    bounded = finite.min() >= 0 and finite.max() <= 1
    limits = (0.0, 1.0) if bounded else (float(min(finite.min(), 0.0)), float(finite.max()) or 1.0)
    counts = {arm: np.histogram(v[np.isfinite(v)], bins=_BINS, range=limits)[0] for arm, v in values.items()}
    top = max(int(count.max()) for count in counts.values())
    edges = np.linspace(*limits, _BINS + 1)
    rows = [
        (arm, float(edges[i]), float(edges[i + 1]), int(count[i]))
        for arm, count in counts.items()
        for i in range(_BINS)
    ]
    panels = [
        _panel(arm, index, values[arm], counts[arm], (limits, top), _words(values[arm], metric), label, noun)
        for index, arm in enumerate(arms)
        if arm in values
    ]
    return Figure(
        "distribution",
        f"{label}, {noun} by {noun}",
        f"{label} of every test {noun} in every training run; the line is the median.",
        tuple(panels),
        ("arm", "from", "to", "predictions"),
        tuple(rows),
    )


def _words(values: NDArray[np.float64], metric: str) -> str:
    words = f"median {np.nanmedian(values):.3g}"
    worst = described(metric).fails_below
    if worst is None:
        return words
    return f"{words}; {int((values < worst).sum())} of {values.size:,} below {worst:g}"


def _panel(
    arm: str,
    series: int,
    values: NDArray[np.float64],
    counts: NDArray[np.int64],
    axes: tuple[tuple[float, float], int],
    words: str,
    label: str,
    noun: str,
) -> Drawing:
    limits, top = axes
    drawing = Drawing(PANEL, 232, f"{label} of {arm}, {noun} by {noun}", words)
    drawing.text(0, 12, arm, "head")
    drawing.text(0, 29, words, "small")
    frame = Frame(drawing, 30, 58, PANEL - 38, 132, limits, (0.0, 1.08 * max(top, 1)))
    frame.y_axis([tick for tick in nice_ticks(0, top, 4) if tick == int(tick)], "predictions")
    frame.x_axis(nice_ticks(*limits, 5), label)
    width, floor = frame.width / _BINS, frame.top + frame.height
    for index, count in enumerate(counts):
        height = floor - float(frame.y(int(count)))
        drawing.rect(frame.left + index * width + 0.5, floor - height, width - 1, height, f"bar c{series % 8}")
    middle = float(frame.x(float(np.nanmedian(values))))
    drawing.line(middle, frame.top, middle, floor, "zero")
    return drawing
