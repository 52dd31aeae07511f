"""Confusion counts, and rates with intervals that account for several cases per patient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from equipoise.errors import PredictionError


@dataclass(frozen=True)
class Rate:
    """A proportion of cases with its 95 % interval; all NaN without a case."""

    estimate: float
    low: float
    high: float
    n_cases: int
    n_patients: int


def confusion(truth: NDArray[np.integer], predicted: NDArray[np.integer], n_classes: int) -> NDArray[np.int64]:
    """Count cases by true class (row) and predicted class (column).

    truth, predicted: (n,) class indices in [0, n_classes). Returns (n_classes, n_classes); it sums to n.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    for name, labels in (("truth", truth), ("predicted", predicted)):
        if labels.size and not (labels.min() >= 0 and labels.max() < n_classes):
            raise PredictionError(f"{name} holds a class outside 0 to {n_classes - 1}; name every class of the cohort")
    flat = np.bincount(truth * n_classes + predicted, minlength=n_classes * n_classes)
    return flat.reshape(n_classes, n_classes).astype(np.int64)


def wilson(estimate: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion in [0, 1] observed in n (possibly effective) cases.

    n = 0 gives (nan, nan). Reference: E. B. Wilson, JASA 22 (1927) 209–212.

    >>> [round(bound, 4) for bound in wilson(0.9, 50)]
    [0.7864, 0.9565]
    """
    if n <= 0:
        return float("nan"), float("nan")
    z = float(ndtri(0.5 + level / 2))
    middle = (estimate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(estimate * (1 - estimate) / n + z * z / (4 * n * n))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def clustered_rate(hits: NDArray[np.bool_], patient: NDArray[np.str_], run: NDArray[np.integer] | None = None) -> Rate:
    """Average `hits`, with a Wilson interval at the effective sample size given patients and runs.

    hits: (n,) one row per case and run; patient: (n,) ids; run: (n,) number of the training run, None for one.
    The variance is that of patient sums (rows of one patient, over all runs, are one cluster) plus the variance
    between runs over their number; the effective size is p(1 − p) / variance, at most the number of cases. Where every
    row agrees the variance is zero, and the effective size is the number of patients.
    """
    if not hits.size:
        return Rate(float("nan"), float("nan"), float("nan"), 0, 0)
    runs = np.zeros(hits.size, dtype=np.int64) if run is None else run
    n_cases = int(np.bincount(np.unique(runs, return_inverse=True)[1]).max())
    ids, member = np.unique(patient, return_inverse=True)
    estimate = float(hits.mean())
    # Wilson at an effective size and not a normal interval at the clustered variance: near 0 and 1, where sensitivities
    # are, the latter leaves [0, 1] and covers too rarely.
    sums = np.bincount(member, weights=hits - estimate)
    inflation = ids.size / (ids.size - 1) if ids.size > 1 else 1.0
    variance = inflation * float(sums @ sums) / hits.size**2 + _between_runs(hits, runs)
    spread = estimate * (1 - estimate)
    effective = min(n_cases, spread / variance) if variance > 0 and spread > 0 else float(ids.size)
    low, high = wilson(estimate, effective)
    return Rate(estimate, low, high, n_cases, int(ids.size))


def _between_runs(hits: NDArray[np.bool_], runs: NDArray[np.integer]) -> float:
    _, member = np.unique(runs, return_inverse=True)
    means = np.bincount(member, weights=hits) / np.bincount(member)
    return float(means.var(ddof=1) / means.size) if means.size > 1 else 0.0


def class_rates(
    truth: NDArray[np.integer],
    predicted: NDArray[np.integer],
    patient: NDArray[np.str_],
    n_classes: int,
    run: NDArray[np.integer] | None = None,
) -> list[Rate]:
    """Return the proportion of each true class that was predicted as such (per-class sensitivity).

    With two classes the first is the specificity and the second the sensitivity for the second class.
    A class without a case gives NaN and n_cases 0.
    """
    rates = []
    for index in range(n_classes):
        rows = truth == index
        rates.append(clustered_rate(predicted[rows] == index, patient[rows], None if run is None else run[rows]))
    return rates
