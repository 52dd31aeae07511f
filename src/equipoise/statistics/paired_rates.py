"""Compare two rates of the same cases, one case per patient: Tango's score interval and the tests that invert it.

At no difference the test is McNemar's without correction. Unlike the difference over its standard error, the interval
keeps its coverage where few cases are discordant. Reference: T. Tango, Statistics in Medicine 17 (1998) 891-908.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from equipoise.statistics.comparison import Contrast

if TYPE_CHECKING:
    from equipoise.statistics.analysis import Analysis

_NEAR_ONE = 1 - 1e-9


@dataclass(frozen=True)
class PairedRates(Contrast):
    """A difference of two rates of n cases: `first` cases speak for the first arm alone, `second` for the second."""

    first: int = 0
    second: int = 0
    cases: int = 0

    @property
    def p(self) -> float:
        """The two-sided p of no difference (McNemar's, without correction)."""
        return float(2 * ndtr(-abs(score(self.first, self.second, self.cases, 0.0))))

    def turned(self) -> "PairedRates":
        """Return the same comparison as second minus first."""
        return replace(self, difference=-self.difference, first=self.second, second=self.first)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return Tango's interval."""
        return tango(self.first, self.second, self.cases, level)

    def p_worse(self, margin: float) -> float:
        """Return the one-sided p that the difference is -margin or less."""
        return float(ndtr(-score(self.first, self.second, self.cases, -margin)))


def score(first: int, second: int, cases: int, difference: float) -> float:
    """Return Tango's score statistic of a difference of paired rates, standard normal where it is the true one.

    >>> round(score(12, 2, 50, 0.0), 4)  # McNemar: (12 - 2) / sqrt(12 + 2)
    2.6726
    """
    # The likelihood's maximum under this difference: the larger root of a quadratic in the rate of `second` alone.
    half = (2 * cases - first + second) * difference - first - second
    last = -second * difference * (1 - difference)
    rate = (np.sqrt(max(half**2 - 8 * cases * last, 0.0)) - half) / (4 * cases)
    variance = cases * (2 * rate + difference * (1 - difference))
    gap = first - second - cases * difference
    if variance <= 0:
        return 0.0 if gap == 0 else float(np.copysign(np.inf, gap))
    return float(gap / np.sqrt(variance))


def tango(first: int, second: int, cases: int, level: float = 0.95) -> tuple[float, float]:
    """Return the differences at which the score statistic is the normal quantile."""
    z = float(ndtri(0.5 + level / 2))
    estimate = (first - second) / cases

    def bound(side: float, end: float) -> float:
        """Return the root between the estimate and an end of the range."""
        # Clipped, because the statistic is infinite at the ends where every case speaks for one arm.
        at = [float(np.clip(score(first, second, cases, edge), -1e6, 1e6)) - side * z for edge in (estimate, end)]
        if at[0] * at[1] > 0:
            return end
        return float(brentq(lambda d: np.clip(score(first, second, cases, d), -1e6, 1e6) - side * z, estimate, end))

    return max(bound(1.0, -_NEAR_ONE), -1.0), min(bound(-1.0, _NEAR_ONE), 1.0)


def paired_rates(analysis: "Analysis", a: str, b: str, plain: Contrast) -> PairedRates | None:
    """Return the score comparison of two arms of one run each; None where cases are clustered or no rates.

    plain: the same comparison by the standard error, whose parts are kept.
    """
    panel = analysis.panel
    if len(panel.folds) != 1 or len(panel.columns(a)) != 1 or len(panel.columns(b)) != 1:
        return None
    fold = panel.folds[0]
    counted = analysis.endpoint.kind.hits(analysis.endpoint, fold, analysis.positive)
    if counted is None:
        return None
    hits, rows = counted
    if len(np.unique(fold.patient[rows])) < int(rows.sum()):
        return None
    own = [hits[int(panel.columns(arm)[0])][rows].astype(bool) for arm in (a, b)]
    first, second = int((own[0] & ~own[1]).sum()), int((own[1] & ~own[0]).sum())
    own_parts = (plain.difference, plain.se, plain.df, plain.se_patients, 0.0, "Tango score, seeds fixed")
    return PairedRates(*own_parts, first=first, second=second, cases=int(rows.sum()))
