"""The bias-corrected and accelerated bootstrap over patients (Efron 1987), reported with the t interval of a mean.

It allows for skewed values such as Dice, which the t interval does not; it ignores the spread between training runs.
For differences it was no better than t (too short at 20 to 60 cases), so no verdict rests on it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]
REPLICATES = 4_000


def bca(estimate: float, replicates: Array, left_out: Array, level: float = 0.95) -> tuple[float, float]:
    """Return the BCa interval from bootstrap replicates (B,) and leave-one-patient-out values (patients,).

    Where the estimate lies at or beyond all replicates the interval is their range.
    """
    # Ties count half: with few patients many replicates equal the estimate, and counting none of them would shift it.
    below = float(np.mean(replicates < estimate) + np.mean(replicates <= estimate)) / 2
    if not 0 < below < 1:
        return float(replicates.min()), float(replicates.max())
    moved = left_out.mean() - left_out
    squared = float((moved**2).sum())
    scale = 6 * squared**1.5  # also 0 where the squares underflow
    acceleration = float((moved**3).sum()) / scale if scale > 0 else 0.0
    bias = float(ndtri(below))
    shifted = bias + ndtri(np.array([0.5 - level / 2, 0.5 + level / 2]))
    low, high = np.quantile(replicates, ndtr(bias + shifted / (1 - acceleration * shifted)))
    return float(low), float(high)


def bca_of_mean(
    values: Array, patient: NDArray[np.int64], *, replicates: int = REPLICATES, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % BCa interval of the mean of case values (n,), drawing whole patients; a point for one patient.

    >>> low, high = bca_of_mean(np.array([0.0, 1.0, 2.0, 3.0]), np.arange(4))
    >>> low < 1.5 < high
    True
    """
    member = np.unique(patient, return_inverse=True)[1]
    total, count = np.bincount(member, values), np.bincount(member)
    if len(count) == 1:
        return float(values.mean()), float(values.mean())
    drawn = np.random.default_rng(seed).integers(0, len(count), (replicates, len(count)))
    repeated = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    left_out = (total.sum() - total) / (len(values) - count)
    return bca(float(values.mean()), repeated, left_out)
