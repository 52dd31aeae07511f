"""Adjust for multiple comparisons: p and simultaneous intervals from the joint normal of all contrasts (max-T)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr

Array = NDArray[np.float64]
DRAWS = 4_000


@dataclass(frozen=True)
class Adjusted:
    """Adjusted p (contrasts,) and the critical |z| of the simultaneous interval."""

    p: Array
    critical: float


def holm(p: Sequence[float] | Array) -> Array:
    """Return Holm's (1979) adjusted p-values, which are valid for any dependence between the tests.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    out = np.empty(len(values))
    out[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return out


def max_t(
    p: Sequence[float] | Array,
    pairs: Sequence[tuple[int, int]],
    covariance: Array,
    *,
    alpha: float = 0.05,
    seed: int = 0,
) -> Adjusted:
    """Adjust by single-step max-T over contrasts, first minus second, of arms with this covariance (arms, arms).

    Raw p (from each contrast's own degrees of freedom) are mapped to |z| and compared with the largest |z| of draws
    from the joint normal (Westfall & Young 1993; Hothorn, Bretz & Westfall 2008). An adjusted p is limited to the range
    from the raw one to Bonferroni's; the limits also apply to values below the resolution of the draws.
    """
    raw = np.asarray(p, dtype=float)
    if len(raw) == 1:
        return Adjusted(raw, float(-ndtri(alpha / 2)))
    # Drawn over the family's own arms alone: further arms of the table must not change a p-value.
    members, places = np.unique(np.array(pairs), return_inverse=True)
    first, second = places.reshape(len(pairs), 2).T
    covariance = covariance[np.ix_(members, members)]
    draws = normal_draws(covariance, DRAWS, seed).T.copy()  # (arms, draws): the largest over rows is the fast one
    spread = np.diag(covariance)[first] + np.diag(covariance)[second] - 2 * covariance[first, second]
    scale = np.sqrt(np.maximum(spread, 0.0))
    # A contrast of equal arms has no variance and no z; it cannot be the largest one either.
    usable = scale > 1e-12
    contrasts = np.abs(draws[first[usable]] - draws[second[usable]]) / scale[usable, None]
    largest = np.sort(contrasts.max(axis=0)) if usable.any() else np.zeros(DRAWS)
    z = -ndtri(raw / 2)
    beyond = 1.0 - np.searchsorted(largest, z, side="left") / DRAWS
    critical = float(np.clip(np.quantile(largest, 1 - alpha), -ndtri(alpha / 2), -ndtri(alpha / 2 / len(raw))))
    return Adjusted(np.clip(beyond, raw, np.minimum(raw * len(raw), 1.0)), critical)


def normal_draws(covariance: Array, draws: int, seed: int) -> Array:
    """Draw (draws, arms) from N(0, covariance) with a fixed generator; small negative eigenvalues count as 0."""
    # By eigenvalues and not by Cholesky, which fails for singular matrices: two equal arms already make one.
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(_standard(draws, len(covariance), seed) @ root.T)


@lru_cache(8)
def _standard(draws: int, arms: int, seed: int) -> Array:
    """Return the same standard normal draws (draws, arms) for every endpoint of a judgement."""
    return np.random.default_rng(seed).standard_normal((draws, arms))


def level_of(critical: float) -> float:
    """Return the confidence level whose normal quantile is `critical`."""
    return float(1 - 2 * ndtr(-critical))


def two_sided(t: float, df: float) -> float:
    """Return the two-sided p of a t statistic."""
    return float(2 * stdtr(df, -abs(t)))
