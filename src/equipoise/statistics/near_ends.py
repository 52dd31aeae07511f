"""Equivalence of rates and areas near the end of their range, where a standard error says too little.

Near 1 an arm's variance is small wherever its estimate is high by chance, and what the data do not exclude lies mostly
below. A test of equivalence by a symmetric interval then calls an arm equivalent that is worse by the margin. Here the
interval of the difference is recovered from each arm's own asymmetric one (MOVER): R. G. Newcombe, Statistics in
Medicine 17 (1998) 2635-2650; G. Y. Zou, Psychological Methods 12 (2007) 399-413. See docs/decisions/0017-near-ends.md.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtr

from equipoise.statistics.analysis import Analysis
from equipoise.statistics.intervals import quantile
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.unequal_patients import effective_share, floor_of_variance

Array = NDArray[np.float64]
_T = np.linspace(0.0, 12.0, 601)  # quantiles of Student's t among which bounds are looked up; beyond, p is 0


@dataclass(frozen=True)
class ArmNearEnds:
    """One arm's value in [0, 1], its variance over patients with its runs fixed, and the patients who tell of it."""

    value: float
    variance: float
    patients: float

    def bounds(self, t: Array) -> tuple[Array, Array]:
        """Return the ends of its interval at these quantiles (N,): on the logit scale, at 0 and 1 Wilson's."""
        if 0 < self.value < 1 and self.variance > 0:
            half = t * np.sqrt(self.variance) / (self.value * (1 - self.value))
            return expit(logit(self.value) - half), expit(logit(self.value) + half)
        middle = (self.value + t**2 / (2 * self.patients)) / (1 + t**2 / self.patients)
        spread = self.value * (1 - self.value) / self.patients + t**2 / (4 * self.patients**2)
        half = t * np.sqrt(spread) / (1 + t**2 / self.patients)
        return np.minimum(middle - half, self.value), np.maximum(middle + half, self.value)


@dataclass(frozen=True)
class NearEnds:
    """A difference of two arms, first minus second: `correlation` of their values over patients, `df` of t."""

    first: ArmNearEnds
    second: ArmNearEnds
    correlation: float
    df: float

    @property
    def difference(self) -> float:
        """The difference of the two values."""
        return self.first.value - self.second.value

    def turned(self) -> "NearEnds":
        """Return the same comparison as second minus first."""
        return replace(self, first=self.second, second=self.first)

    def widened(self, factor: float) -> "NearEnds":
        """Return the comparison with standard errors that are larger by a factor."""
        first, second = (
            ArmNearEnds(arm.value, arm.variance * factor**2, arm.patients / factor**2)
            for arm in (self.first, self.second)
        )
        return replace(self, first=first, second=second)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the confidence interval of the difference."""
        most = quantile(0.5 + level / 2, self.df)
        lows, highs = self._bounds(np.append(_T[most > _T], most))
        return float(lows[-1]), float(highs[-1])

    def p_worse(self, margin: float) -> float:
        """Return the one-sided p that the difference is -margin or less."""
        lows, highs = self._bounds(_T)
        return _p_beyond(self.df, self.difference + margin, self.difference - lows, highs - self.difference)

    def p_equivalence(self, margin: float) -> float:
        """Return the larger of two one-sided p (Schuirmann), as `comparison.equivalence_p`."""
        lows, highs = self._bounds(_T)
        below, above = self.difference - lows, highs - self.difference
        worse = _p_beyond(self.df, self.difference + margin, below, above)
        return max(worse, _p_beyond(self.df, margin - self.difference, above, below))

    def _bounds(self, t: Array) -> tuple[Array, Array]:
        """Return the ends of the interval of the difference at rising quantiles (N,); they never draw together."""
        (a_low, a_high), (b_low, b_high) = self.first.bounds(t), self.second.bounds(t)
        below = self._distance(self.first.value - a_low, b_high - self.second.value)
        above = self._distance(a_high - self.first.value, self.second.value - b_low)
        # With highly correlated arms, one of them at the end of its range, the distance may shrink with rising t.
        return self.difference - np.maximum.accumulate(below), self.difference + np.maximum.accumulate(above)

    def _distance(self, of_first: Array, of_second: Array) -> Array:
        squared = of_first**2 + of_second**2 - 2 * self.correlation * of_first * of_second
        return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def _p_beyond(df: float, inside: float, towards: Array, away: Array) -> float:
    """Return the one-sided p of an estimate that lies so far inside the border of the hypothesis.

    towards, away: how far the interval reaches at the quantiles `_T`, towards the border and on the other side.
    """
    if inside >= 0:
        return float(stdtr(df, -np.interp(inside, towards, _T)))
    return float(stdtr(df, np.interp(-inside, away, _T)))


def has_ends(endpoint: Endpoint) -> bool:
    """Return whether the endpoint is a rate or an area between 0 and 1, which hardly varies there."""
    return endpoint.kind.ends and (endpoint.low, endpoint.high) == (0.0, 1.0)


def near_ends(analysis: Analysis, a: str, b: str) -> NearEnds | None:
    """Return the comparison of two arms by their own intervals; None for a metric that is no rate and no area."""
    endpoint, arms = analysis.endpoint, analysis.arms
    if not has_ends(endpoint):
        return None
    places = [arms.index(name) for name in (a, b)]
    patients = arms.n_patients if analysis.events is None else analysis.events
    # Of unequal patients fewer tell of an arm at its end, and its variance is raised as that of the difference.
    unequal = arms.leverage(*places)
    telling = max(patients * min((effective_share(piece.sizes) for piece in arms.pieces), default=1.0), 1)
    first, second = (
        ArmNearEnds(
            float(arms.mean[k]),
            float(arms.between[k, k]) * max(unequal.factor**2, floor_of_variance(arms.pieces, k)),
            telling,
        )
        for k in places
    )
    own = float(arms.between[places[0], places[0]] * arms.between[places[1], places[1]])
    shared = float(arms.between[places[0], places[1]])
    correlation = float(np.clip(shared / np.sqrt(own), -1.0, 1.0)) if own > 0 else 0.0
    return NearEnds(first, second, correlation, unequal.df)
