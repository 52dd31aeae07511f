"""The interval on which a verdict rests: it excludes what the adjusted test rejects, and nothing else."""

from collections.abc import Sequence
from typing import NamedTuple

from equipoise.statistics.comparison import Contrast
from equipoise.statistics.near_ends import NearEnds


class Decisive(NamedTuple):
    """Bounds with their confidence level."""

    low: float
    high: float
    level: float


def level_tested(raw: float, adjusted: float, alpha: float, tests: int) -> float:
    """Return the level at which one of several tests was done: raw p below it exactly where adjusted p below alpha.

    >>> round(level_tested(0.01, 0.03, 0.05, 3), 4), level_tested(0.0, 0.0, 0.05, 5)
    (0.0167, 0.01)
    """
    # Holm's method multiplies by a number of its own for each test, which is read off the result.
    return alpha * raw / adjusted if adjusted > 0 else alpha / tests


def of_equivalence(
    contrasts: Sequence[Contrast | NearEnds], adjusted: float, raw: float, alpha: float, tests: int
) -> Decisive:
    """Return the interval of the two one-sided tests at their level: inside the margin exactly where they reject."""
    level = 1 - 2 * level_tested(raw, adjusted, alpha, tests)
    return Decisive(*widest([contrast.interval(level) for contrast in contrasts]), level)


def within(interval: tuple[float, float], width: float) -> tuple[float, float]:
    """Return the interval of a difference cut at what the range of its metric allows: -width to width.

    >>> within((0.93, 1.006), 1.0)
    (0.93, 1.0)
    """
    low, high = interval
    return min(max(low, -width), width), max(min(high, width), -width)


def widest(intervals: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the interval that contains all of these."""
    return min(low for low, _ in intervals), max(high for _, high in intervals)
