"""The interval of one arm's endpoint, by the method that kept its coverage for that kind of metric."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri, stdtrit

from equipoise.evaluation.classification import wilson


@dataclass(frozen=True)
class Bounds:
    """A confidence interval and the name of the method that made it."""

    low: float
    high: float
    method: str


def quantile(probability: float, df: float) -> float:
    """Quantile of Student's t; infinitely many degrees of freedom are the normal."""
    return float(ndtri(probability) if np.isinf(df) else stdtrit(df, probability))


def newcombe5(auc: float, positives: float, negatives: float, level: float = 0.95) -> tuple[float, float]:
    """Newcombe's method 5 for an AUC: a score interval, so it exists at AUC = 1 and holds for few events.

    The bounds are the areas whose Hanley-McNeil variance, with (M + N) / 2 - 1 for both sample sizes, puts the
    estimate at the edge. Reference: R. G. Newcombe, Statistics in Medicine 25 (2006) 559-573.

    >>> [round(bound, 3) for bound in newcombe5(0.9, 20, 50)]
    [0.779, 0.956]
    """
    z = float(ndtri(0.5 + level / 2))
    size = max((positives + negatives) / 2 - 1, 0.0)

    def excess(area: float) -> float:
        """Squared distance of the estimate beyond what is allowed if this were the true area."""
        spread = area * (1 - area) * (1 + size * ((1 - area) / (2 - area) + area / (1 + area)))
        return (auc - area) ** 2 - z * z * spread / (positives * negatives)

    near = min(max(auc, 1e-15), 1 - 1e-15)  # at 0 and 1 the estimate itself is a root, but not the bound
    low = brentq(excess, 0.0, near, xtol=1e-12) if auc > 0 else 0.0
    high = brentq(excess, near, 1.0, xtol=1e-12) if auc < 1 else 1.0
    return float(low), float(high)


def logit_interval(estimate: float, se: float, df: float, level: float = 0.95) -> tuple[float, float]:
    """Interval on the logit scale for an estimate strictly inside (0, 1), by the delta method.

    >>> [round(bound, 3) for bound in logit_interval(0.9, 0.03, float("inf"))]
    [0.824, 0.945]
    """
    half = quantile(0.5 + level / 2, df) * se / (estimate * (1 - estimate))
    middle = logit(estimate)
    return float(expit(middle - half)), float(expit(middle + half))


def auc_interval(
    auc: float, variance: float, independent: float, positives: int, negatives: int, df: float, *, seeds: int, few: bool
) -> tuple[Bounds, Bounds | None]:
    """Interval of an AUC and a second one to print beside it.

    `variance` holds clusters and seeds, `independent` neither: their ratio is the design effect by which the sample
    sizes of Newcombe's method shrink. One seed, few events or AUC 1: Newcombe; several seeds: logit.
    """
    effect = max(1.0, variance / independent) if independent > 0 else 1.0
    score = Bounds(*newcombe5(auc, positives / effect, negatives / effect), "Newcombe 5 with design effect")
    if not 0 < auc < 1 or variance <= 0:
        return score, None
    delta = Bounds(*logit_interval(auc, float(np.sqrt(variance)), df), "logit")
    return (score, delta) if seeds == 1 or few else (delta, score)


def rate_interval(rate: float, variance: float, n_cases: int, n_patients: int) -> Bounds:
    """Wilson's interval at the sample size that clusters and seeds leave; at 0 or 1 the number of patients counts."""
    spread = rate * (1 - rate)
    size = min(float(n_cases), spread / variance) if variance > 0 and spread > 0 else float(n_patients)
    return Bounds(*wilson(rate, size), "Wilson with design effect")


def mean_interval(mean: float, se: float, df: float, low: float, high: float) -> Bounds:
    """Student's t interval, cut at the metric's range."""
    half = quantile(0.975, df) * se
    return Bounds(max(low, mean - half), min(high, mean + half), "t over patients")
