"""A histogram of one number over the cases of a cohort."""

import numpy as np
from numpy.typing import ArrayLike

from equipoise.report.figures.figure import PANEL
from equipoise.report.figures.svg import Drawing, Frame, nice_ticks

_BINS = 20


def histogram(title: str, values: ArrayLike, label: str, counted: str = "cases", series: int = 0) -> Drawing:
    """Draw a histogram of finite values with their median; label: of the x axis, counted: of the y axis."""
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    low, high = float(numbers.min()), float(numbers.max())
    whole = bool((numbers == np.rint(numbers)).all()) and high - low < _BINS
    # Small whole numbers get one bin each: twenty bins over five values would leave gaps that look like missing values.
    edges = np.arange(low - 0.5, high + 1) if whole else np.linspace(low, high if high > low else low + 1, _BINS + 1)
    counts, _ = np.histogram(numbers, edges)
    words = f"median {np.median(numbers):.4g}, from {low:.4g} to {high:.4g}"
    drawing = Drawing(PANEL, 232, title, words)
    drawing.text(0, 12, title, "head")
    drawing.text(0, 29, words, "small")
    limits, top = (float(edges[0]), float(edges[-1])), int(counts.max())
    frame = Frame(drawing, 36, 58, PANEL - 44, 132, limits, (0.0, 1.08 * top))
    frame.y_axis([tick for tick in nice_ticks(0, top, 4) if tick == int(tick)], counted)
    frame.x_axis(nice_ticks(*limits, 4), label)
    floor = frame.top + frame.height
    for left, right, count in zip(frame.x(edges[:-1]), frame.x(edges[1:]), counts, strict=True):
        height = floor - float(frame.y(int(count)))
        drawing.rect(float(left) + 0.5, floor - height, float(right - left) - 1, height, f"bar c{series % 8}")
    middle = float(frame.x(float(np.median(numbers))))
    drawing.line(middle, frame.top, middle, floor, "zero")
    return drawing
