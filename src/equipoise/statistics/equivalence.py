"""Equivalence and non-inferiority within a margin (Schuirmann's two one-sided tests)."""

from scipy.special import stdtr

from equipoise.statistics.comparison import Contrast


def equivalence_p(contrast: Contrast, margin: float) -> float:
    """The larger of the two one-sided p: below alpha, the 1 - 2 alpha interval lies inside (-margin, margin)."""
    return max(non_inferiority_p(contrast, margin), non_inferiority_p(contrast.turned(), margin))


def non_inferiority_p(contrast: Contrast, margin: float) -> float:
    """One-sided p that the difference is -margin or less; NaN where the standard error is 0."""
    if contrast.se == 0:
        return float("nan")
    return float(stdtr(contrast.df, -(contrast.difference + margin) / contrast.se))
