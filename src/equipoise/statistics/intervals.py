"""Intervals of one arm's endpoint, by the methods that kept their coverage in simulations of that kind of metric."""

from dataclasses import dataclass
from functools import lru_cache
from math import isinf

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri, stdtrit

from equipoise.evaluation.classification import wilson


@dataclass(frozen=True)
class Bounds:
    """A confidence interval and the name of its method."""

    low: float
    high: float
    method: str


@lru_cache(4_096)
def quantile(probability: float, df: float) -> float:
    """Return a quantile of Student's t; infinite degrees of freedom give the normal."""
    return float(ndtri(probability) if isinf(df) else stdtrit(df, probability))


def newcombe5(auc: float, positives: float, negatives: float, level: float = 0.95) -> tuple[float, float]:
    """Return Newcombe's interval 5 for an AUC: a score interval, so it exists at AUC = 1 and is valid for few events.

    The bounds are the areas from which the estimate is z standard errors away, by the Hanley-McNeil variance with
    (M + N) / 2 - 1 for both sample sizes. Reference: R. G. Newcombe, Statistics in Medicine 25 (2006) 559-573.

    >>> [round(bound, 3) for bound in newcombe5(0.9, 20, 50)]
    [0.779, 0.956]
    """
    z = float(ndtri(0.5 + level / 2))
    size = max((positives + negatives) / 2 - 1, 0.0)

    def excess(area: float) -> float:
        """Return the estimate's squared distance from `area` beyond z squared times the variance."""
        spread = area * (1 - area) * (1 + size * ((1 - area) / (2 - area) + area / (1 + area)))
        return (auc - area) ** 2 - z * z * spread / (positives * negatives)

    near = min(max(auc, 1e-15), 1 - 1e-15)  # at 0 and 1 the estimate itself is a root, but not the bound
    low = brentq(excess, 0.0, near, xtol=1e-12) if auc > 0 else 0.0
    high = brentq(excess, near, 1.0, xtol=1e-12) if auc < 1 else 1.0
    return float(low), float(high)


def logit_interval(estimate: float, se: float, df: float, level: float = 0.95) -> tuple[float, float]:
    """Return an interval on the logit scale for an estimate strictly inside (0, 1), by the delta method.

    >>> [round(bound, 3) for bound in logit_interval(0.9, 0.03, float("inf"))]
    [0.824, 0.945]
    """
    half = quantile(0.5 + level / 2, df) * se / (estimate * (1 - estimate))
    middle = logit(estimate)
    return float(expit(middle - half)), float(expit(middle + half))


def auc_interval(
    auc: float, variance: float, independent: float, positives: int, negatives: int, df: float, *, seeds: int, few: bool
) -> tuple[Bounds, Bounds | None]:
    """Return the interval of an AUC, and a second one to report with it.

    `variance` includes clusters and seeds, `independent` neither: their ratio is the design effect, which divides the
    sample sizes of Newcombe's method. One seed, few events or AUC 1: Newcombe; several seeds: logit.
    """
    # Never below 1: a variance that is small by chance must not pretend more cases than there are.
    effect = max(1.0, variance / independent) if independent > 0 else 1.0
    score = Bounds(*newcombe5(auc, positives / effect, negatives / effect), "Newcombe 5 with design effect")
    if not 0 < auc < 1 or variance <= 0:
        return score, None
    delta = Bounds(*logit_interval(auc, float(np.sqrt(variance)), df), "logit")
    return (score, delta) if seeds == 1 or few else (delta, score)


def rate_interval(rate: float, variance: float, n_cases: int, n_patients: int) -> Bounds:
    """Return Wilson's interval at the effective sample size; for a rate of 0 or 1 that is the number of patients."""
    spread = rate * (1 - rate)
    size = min(float(n_cases), spread / variance) if variance > 0 and spread > 0 else float(n_patients)
    return Bounds(*wilson(rate, size), "Wilson with design effect")


def mean_interval(mean: float, se: float, df: float, low: float, high: float) -> Bounds:
    """Return Student's t interval, cut at the metric's range."""
    half = quantile(0.975, df) * se
    return Bounds(max(low, mean - half), min(high, mean + half), "t over patients")
