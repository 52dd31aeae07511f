"""Bias and variance of a metric by leaving out patients, where the linear approximation of its influence is too rough.

Average precision of few positive cases is too high by several hundredths, since each of them counts at its own score,
and its variance is underestimated by a tenth. Both follow from the metric without each patient in turn (Quenouille
1956; Tukey 1958).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.statistics.influence import JACKKNIFE_GROUPS
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.panel import Fold, Panel

MANY_EVENTS = 200  # patients of the rarer class from which bias and the rest of the variance are negligible


@dataclass(frozen=True)
class Jackknife:
    """The bias of an arm's mean over its runs, and its variance over patients with these runs."""

    bias: float
    variance: float


def jackknife(panel: Panel, endpoint: Endpoint, positive: int | None, columns: NDArray[np.int64]) -> Jackknife | None:
    """Return bias and variance of the mean of these columns; None where leaving out a patient leaves no class."""
    chosen = np.zeros(len(panel.arm), dtype=bool)
    chosen[columns] = True
    try:
        parts = [_of_fold(fold.only(chosen), endpoint, positive, panel.n_patients) for fold in panel.folds]
    except PredictionError:
        return None
    folds = len(parts)
    return Jackknife(sum(one.bias for one in parts) / folds, sum(one.variance for one in parts) / folds**2)


def _of_fold(fold: Fold, endpoint: Endpoint, positive: int | None, n_patients: int) -> Jackknife:
    patients, owner = np.unique(fold.patient, return_inverse=True)
    # Groups of patients beyond a limit, and shuffled: neighbours in the order of names may come from one site.
    groups = min(len(patients), JACKKNIFE_GROUPS)
    member = (np.random.default_rng(0).permutation(len(patients)) % groups)[owner]

    def value(part: Fold) -> float:
        """Return the mean over columns."""
        return float(endpoint.influence(part, positive, n_patients).value.mean())

    without = np.array([value(fold.of_cases(member != group)) for group in range(groups)])
    bias = (groups - 1) * (without.mean() - value(fold))
    return Jackknife(float(bias), float((groups - 1) / groups * ((without - without.mean()) ** 2).sum()))
