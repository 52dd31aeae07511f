"""Estimate the variance of a rate or a rank metric in small groups, as if all groups had the same value.

Near its end such a metric has a small variance wherever it happens to be high, so a small group with a perfect value
seems known without error. Under the hypothesis that the groups are equal, their patients vary alike, and the spread of
all of them serves each: a score test, where the groups' own variances would make a Wald test.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pooled_covariance(parts: Sequence[Sequence[Array]], counts: Sequence[Sequence[int]]) -> Array:
    """Return the covariance (groups, groups) of the groups' values over patients.

    parts: of every group, the influence (patients,) of each class of cases that is centred separately; counts: the
    patients of each part. Patients with cases in several groups or classes keep their covariance.
    """
    variance = np.zeros(len(parts))
    for k in range(len(parts[0])):
        squares = sum(float(((c[k] * part[k]) ** 2).sum()) for part, c in zip(parts, counts, strict=True))
        freedom = sum(max(c[k] - 1, 0) for c in counts)
        variance += squares / max(freedom, 1) / np.array([c[k] for c in counts])
        for j in range(k):
            variance += 2 * _shared(parts, counts, j, k)
    total = np.stack([np.sum(part, axis=0) for part in parts])
    empirical = total @ total.T
    spread = np.sqrt(np.maximum(np.diag(empirical), np.finfo(float).tiny))
    # Where classes of one patient are opposed, the pooled terms might cancel; a variance is never below 0.
    scale = np.sqrt(np.maximum(variance, 0.0))
    correlation = empirical / np.outer(spread, spread)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation * np.outer(scale, scale))


def _shared(parts: Sequence[Sequence[Array]], counts: Sequence[Sequence[int]], j: int, k: int) -> Array:
    """Return each group's covariance of two parts, which patients with cases of both classes give."""
    both = [(part[j] != 0) & (part[k] != 0) for part in parts]
    products = sum(c[j] * c[k] * float((part[j] * part[k]).sum()) for part, c in zip(parts, counts, strict=True))
    patients = sum(int(own.sum()) for own in both)
    if not patients:
        return np.zeros(len(parts))
    return np.array([products / patients * own.sum() / (c[j] * c[k]) for c, own in zip(counts, both, strict=True)])
