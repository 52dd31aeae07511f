"""The area under the ROC curve and each case's share in it (DeLong's placement values), by one sort."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Placements:
    """`value[k]` is the fraction of cases of the other class that case k is ranked rightly against, ties counting 1/2.

    DeLong, DeLong & Clarke-Pearson (1988): V10 for positives, V01 for negatives; their means are both the AUC.
    """

    auc: float
    value: NDArray[np.float64]


def placements(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> Placements:
    """Placement values of n scores (n,) in O(n log n); both classes must be present.

    >>> placements(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True])).auc
    0.875
    """
    order = np.argsort(score)
    ordered, truth = score[order], positive[order]
    n, m = len(score), int(truth.sum())
    positives = np.cumsum(truth)  # up to and including each place
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # of every run of ties
    if len(last) == n:
        negatives_below = np.arange(1, n + 1) - positives
        right = np.where(truth, negatives_below / max(n - m, 1), (m - positives) / max(m, 1))
    else:
        run = np.diff(last, prepend=-1)
        up_to = positives[last]
        within = np.diff(up_to, prepend=0)
        below = (last + 1 - up_to) - (run - within) / 2.0
        above = m - up_to + within / 2.0
        right = np.where(truth, np.repeat(below / max(n - m, 1), run), np.repeat(above / max(m, 1), run))
    value = np.empty(n)
    value[order] = right
    return Placements(float(right[truth].sum() / m), value)
