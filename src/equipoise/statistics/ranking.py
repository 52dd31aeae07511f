"""Ranks of arms under their uncertainty: a description, never a verdict."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.statistics.multiplicity import normal_draws

DRAWS = 10_000


@dataclass(frozen=True)
class Rank:
    """`probability_best` is the share of draws in which the arm was first; ranks (1 = best) are its 5-95 % range."""

    arm: str
    probability_best: float
    rank_low: int
    rank_high: int


def rank(
    names: tuple[str, ...], mean: NDArray[np.float64], covariance: NDArray[np.float64], *, sign: int = 1, seed: int = 0
) -> tuple[Rank, ...]:
    """Rank arms by draws of N(mean, covariance), best arm first; `sign` -1 where lower is better.

    Arms that are equal in a draw share the first place evenly.
    """
    draws = sign * (mean + normal_draws(covariance, DRAWS, seed))
    place = (draws[:, None, :] > draws[:, :, None]).sum(axis=2) + 1
    first = place == 1
    best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    low = np.quantile(place, 0.05, axis=0, method="lower")
    high = np.quantile(place, 0.95, axis=0, method="higher")
    order = sorted(range(len(names)), key=lambda k: (-sign * mean[k], names[k]))
    return tuple(Rank(names[k], float(best[k]), int(low[k]), int(high[k])) for k in order)
