"""Compare arms over many workloads (a data set with a network): average ranks with intervals, time to a target.

Workloads of one data set are correlated, so the bootstrap draws data sets, then workloads within each, then the
training
runs of every arm: an interval shows how much another choice of all three could change the result.
References: Demšar, J Mach Learn Res 2006 (ranks over data sets); Dolan & Moré, Math Program 2002 (profiles).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import friedmanchisquare

Values = NDArray[np.float64]
RESAMPLES = 4000
FEWEST = 3
"""Workloads, and arms, below which Friedman's test is not made."""


@dataclass(frozen=True)
class AverageRank:
    """Mean rank over workloads (1 = best, ties share) with its 95 % interval, and its distance from the best.

    behind_low, behind_high: interval of the difference from the arm with the best mean rank; 0 for that arm itself.
    first: share of resamples in which the arm had the best mean rank.
    """

    rank: float
    low: float
    high: float
    behind: float
    behind_low: float
    behind_high: float
    first: float


@dataclass(frozen=True)
class RankDifference:
    """The average rank of arm a minus that of arm b (positive: a is worse), with its 95 % interval."""

    a: int
    b: int
    difference: float
    low: float
    high: float


def ranks(scores: Values, *, higher_is_better: bool) -> Values:
    """Rank along the last axis, 1 for the best; ties share the mean of their places."""
    signed = -scores if higher_is_better else scores
    better = (signed[..., None, :] < signed[..., :, None]).sum(axis=-1)
    equal = (signed[..., None, :] == signed[..., :, None]).sum(axis=-1)
    ranked: Values = 1 + better + (equal - 1) / 2
    return ranked


def average_ranks(
    scores: Values, groups: Sequence[str], *, higher_is_better: bool, seed: int = 0
) -> tuple[AverageRank, ...]:
    """Return the average rank of every arm by its mean score over runs.

    scores: (workload, arm, run), finite; a failed run has the score of a network that learned nothing.
    groups: the data set of each workload.
    """
    observed = ranks(scores.mean(axis=2), higher_is_better=higher_is_better).mean(axis=0)
    drawn = _resampled(scores, groups, higher_is_better, np.random.default_rng(seed))
    best = int(observed.argmin())
    # Within each resample: the ranks of two arms are correlated, so their separate intervals say little of the
    # difference.
    behind = drawn - drawn[:, [best]]
    first = drawn == drawn.min(axis=1, keepdims=True)
    shares = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    behind_low, behind_high = np.quantile(behind, (0.025, 0.975), axis=0)
    return tuple(
        AverageRank(
            float(observed[a]),
            float(low[a]),
            float(high[a]),
            float(observed[a] - observed[best]),
            float(behind_low[a]),
            float(behind_high[a]),
            float(shares[a]),
        )
        for a in range(len(observed))
    )


def rank_differences(
    scores: Values, groups: Sequence[str], *, higher_is_better: bool, seed: int = 0
) -> tuple[RankDifference, ...]:
    """Compare every pair of arms a < b by the resamples of `average_ranks`, without adjustment for their number."""
    observed = ranks(scores.mean(axis=2), higher_is_better=higher_is_better).mean(axis=0)
    drawn = _resampled(scores, groups, higher_is_better, np.random.default_rng(seed))
    differences = []
    for a, b in combinations(range(len(observed)), 2):
        low, high = np.quantile(drawn[:, a] - drawn[:, b], (0.025, 0.975))
        differences.append(RankDifference(a, b, float(observed[a] - observed[b]), float(low), float(high)))
    return tuple(differences)


def _resampled(scores: Values, groups: Sequence[str], higher: bool, generator: np.random.Generator) -> Values:
    """Return average ranks of resamples (resample, arm)."""
    workloads, arms, runs = scores.shape
    chosen = _workloads(groups, generator)
    total = np.zeros((RESAMPLES, arms))
    for place in range(workloads):
        runs_drawn = generator.integers(runs, size=(RESAMPLES, arms, runs))
        mean = np.take_along_axis(scores[chosen[:, place]], runs_drawn, axis=2).mean(axis=2)
        total += ranks(mean, higher_is_better=higher)
    return np.asarray(total / workloads)


def _workloads(groups: Sequence[str], generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw workloads (resample, place): data sets with replacement, then their workloads with replacement.

    A drawn data set fills as many places as the data set that it replaces, so every resample has equal size.
    """
    names = list(dict.fromkeys(groups))
    members = [np.flatnonzero(np.array(groups) == name) for name in names]
    sizes = np.array([len(own) for own in members])
    table = np.zeros((len(names), sizes.max()), dtype=np.int64)
    for row, own in zip(table, members, strict=True):
        row[: len(own)] = own
    parts = []
    for own in members:
        drawn = generator.integers(len(names), size=RESAMPLES)
        places = generator.random((RESAMPLES, len(own)))
        parts.append(table[drawn[:, None], (places * sizes[drawn][:, None]).astype(np.int64)])
    return np.concatenate(parts, axis=1)


def friedman_p(scores: Values) -> float:
    """Return Friedman's p over workloads (workload, arm) that all arms are equal; nan with fewer than FEWEST of either.

    It treats workloads as independent, so p is too small where several share a data set.
    """
    if min(scores.shape) < FEWEST or not np.ptp(scores, axis=1).any():
        return float("nan")
    return float(friedmanchisquare(*scores.T).pvalue)


def profile(times: Values, ratios: Values) -> Values:
    """Return profiles (arm, ratio): the share of workloads on which an arm needed at most `ratio` times the best.

    times: (workload, arm), inf where the target was never reached; where no arm reached it, it counts for none.
    """
    best = times.min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        relative = np.where(np.isfinite(best), times / best, np.inf)
    return np.asarray((relative.T[:, :, None] <= ratios).mean(axis=1), dtype=np.float64)


def first_reached(losses: Sequence[float], target: float) -> float:
    """Return the first epoch (from 1) whose loss is at most the target; inf where none is."""
    return next((float(epoch) for epoch, loss in enumerate(losses, start=1) if loss <= target), float("inf"))
