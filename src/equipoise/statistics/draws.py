"""Compute exactly the result of tuning with fewer draws, over every subset of the draws that were made.

Draws of one arm are exchangeable (none depends on another's result), so every subset of k of them is a possible smaller
budget. With n values from best to worst, the best of k is the i-th (i = 0, 1, …) with the probability
C(n-1-i, k-1) / C(n, k). Reference: Dodge et al., "Show Your Work", EMNLP 2019 (there with replacement).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
BAND = (0.1, 0.9)
"""Quantiles of the band around the expected best."""


@dataclass(frozen=True)
class Best:
    """The best of `draws` draws: its mean over all subsets, and its quantiles at the levels of BAND."""

    draws: int
    expected: float
    low: float
    high: float


def best(values: Sequence[float | None], *, lower_is_better: bool) -> int | None:
    """Return the number of the best draw, the earlier of equals; None where every draw failed (None)."""
    sign = 1 if lower_is_better else -1
    usable = [(sign * value, number) for number, value in enumerate(values) if value is not None]
    return min(usable)[1] if usable else None


def best_after(values: Values, draws: int, *, lower_is_better: bool) -> Best:
    """Return the best of a random subset of `draws` of these finite values (n,); 1 ≤ draws ≤ n."""
    ordered, chances = _outcomes(values, draws, lower_is_better)
    rising = slice(None) if lower_is_better else slice(None, None, -1)
    low, high = (_quantile(ordered[rising], chances[rising], level) for level in BAND)
    return Best(draws, float(ordered @ chances), low, high)


def expected_ranks(arms: Sequence[Values], draws: int, *, lower_is_better: bool) -> Values:
    """Return each arm's mean rank (1 = best, ties share), if each had a random subset of `draws` of its draws.

    The mean rank is one, plus the probabilities that each other arm is better, plus half of those that it is equal.
    """
    outcomes = [_outcomes(values, draws, lower_is_better) for values in arms]
    sign = 1 if lower_is_better else -1
    ranks = np.ones(len(arms))
    for a, (mine, own) in enumerate(outcomes):
        for b, (theirs, other) in enumerate(outcomes):
            if a != b:
                apart = np.sign(sign * (mine[:, None] - theirs[None, :]))  # 1 where the other arm is better
                ranks[a] += float(own @ ((1 + apart) / 2) @ other)
    return ranks


def _outcomes(values: Values, draws: int, lower_is_better: bool) -> tuple[Values, Values]:
    """Return the values from best to worst, and the probability that each is the best of the subset."""
    n = len(values)
    ordered = np.sort(values) if lower_is_better else np.sort(values)[::-1]
    # Exact and not by simulation: equal results give equal numbers in every report, and n is small.
    chances = np.array([comb(n - 1 - i, draws - 1) for i in range(n)], dtype=np.float64) / comb(n, draws)
    return ordered, chances


def _quantile(rising: Values, chances: Values, level: float) -> float:
    """Return the smallest value that at least this share of the subsets does not exceed."""
    at = int(np.searchsorted(np.cumsum(chances), level - 1e-12))
    return float(rising[min(at, len(rising) - 1)])
