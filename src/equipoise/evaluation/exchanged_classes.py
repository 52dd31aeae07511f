"""Notice classes that were exchanged: another assignment of what was predicted to the true classes fits far better.

The best of many assignments fits better by chance too. So it is chosen on one half of the patients and proven on the
other, and the other way round.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
MUCH = 0.2
"""Gain of AUC or Dice, as a mean over the classes that move, from which an exchange is asked about."""
SURE = 3.0
"""Standard errors over patients that the gain must lie above nothing."""
_PREFERENCE = 1e-6  # for the assignment as it stands, where two are equal


@dataclass(frozen=True)
class Exchange:
    """The classes that move, as (true class, predicted column), and their mean score as it stands and exchanged."""

    moved: tuple[tuple[int, int], ...]
    stands: float
    exchanged: float


def exchanged(truth: Indices, values: Array, patient: NDArray[np.str_], classes: int) -> Exchange | None:
    """Return the assignment of columns to classes that is much better than column k for class k; None without one.

    truth (n,): the class of each row. values (n, columns), columns ≥ classes: how well each column fits the row's
    class, from 0 to 1 and larger where better. patient (n,): rows of one patient prove together.
    """
    # A class without a row says nothing, and stays where it is.
    counts = np.bincount(truth, minlength=classes)
    best = _assignment(truth, values, classes)
    moved = tuple((t, int(p)) for t, p in enumerate(best) if p != t and counts[t])
    if not moved:
        return None
    means = _means(truth, values, classes)
    stands = float(np.mean([means[t, t] for t, _ in moved]))
    better = float(np.mean([means[t, p] for t, p in moved]))
    if better - stands < MUCH or not _proven(truth, values, patient, classes):
        return None
    return Exchange(moved, stands, better)


def _means(truth: Indices, values: Array, classes: int) -> Array:
    means = np.zeros((classes, values.shape[1]))
    for one in np.unique(truth):
        means[one] = values[truth == one].mean(axis=0)
    return means


def _assignment(truth: Indices, values: Array, classes: int) -> Indices:
    means = _means(truth, values, classes)
    means[np.arange(classes), np.arange(classes)] += _PREFERENCE
    chosen: Indices = linear_sum_assignment(means, maximize=True)[1]
    return chosen


def _proven(truth: Indices, values: Array, patient: NDArray[np.str_], classes: int) -> bool:
    """Whether assignments chosen on one half of the patients gain on the other half, beyond chance."""
    names, first, person = np.unique(patient, return_index=True, return_inverse=True)
    # In each class every second patient, in an order without meaning: names may follow the classes.
    order = np.lexsort((np.random.default_rng(0).permutation(len(names)), truth[first]))
    half = np.empty(len(names), dtype=np.int64)
    half[order] = np.arange(len(names)) % 2
    counts = np.bincount(truth, minlength=classes)
    gain = np.zeros(len(names))
    for side in (0, 1):
        chosen, tested = half[person] != side, half[person] == side
        best = _assignment(truth[chosen], values[chosen], classes)
        own = truth[tested]
        rows = values[tested]
        each = (rows[np.arange(len(own)), best[own]] - rows[np.arange(len(own)), own]) / counts[own]
        np.add.at(gain, person[tested], each)
    total, spread = gain.sum(), np.sqrt(len(gain)) * gain.std(ddof=1) if len(gain) > 1 else np.inf
    return bool(total > SURE * spread)
