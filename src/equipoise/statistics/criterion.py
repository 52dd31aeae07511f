"""What a difference must exceed to be called one: the thresholds of the judgement, for a design not yet carried out.

They are those of `families`: Welch and runs fixed for the two arms alone, moderated variances and runs fixed at the
level of the family, the corrected resampled t where there are folds. Variances between runs are random, so a threshold
is an array over draws of them; the draws are fixed, hence equal designs have equal power.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, stdtrit

from equipoise.statistics.degrees import RAISED, RAISED_LEANING, effective_df
from equipoise.statistics.moderation import FEWEST_ARMS, moderate
from equipoise.statistics.multiplicity import level_of, max_t

Array = NDArray[np.float64]
DRAWS = 96
SHARES = 3  # steps of the runs' share of the variance, between which the level of the family hardly changes
_COVARIANCES = 8
_TABLE = 1_024  # places of the table of Student's quantiles, which are slow to compute


@dataclass(frozen=True)
class Criterion:
    """The tests that a difference must pass.

    level: two-sided level of the two arms' own test and of the family. pairs: the family's comparisons, by number of
    arm. arms: arms with several seeds, on whose spreads the family's test leans. folds, repeats: of cross-validation; 1
    fold means none. unseen: n times the change of a mean by failures that n patients without one do not exclude.
    """

    level: float = 0.05
    pairs: tuple[tuple[int, int], ...] = ((0, 1),)
    arms: int = 2
    folds: int = 1
    repeats: int = 1
    unseen: float = 0.0

    def adjusted(self, seeds: int, share: float) -> float:
        """Return the level of each test of the family by max-T; `share`: the runs' part of a difference's variance."""
        if len(self.pairs) < 2:
            return self.level
        return _adjusted(self.pairs, self.level, seeds, round(SHARES * share) / SHARES)


@dataclass(frozen=True)
class Variances:
    """Variances of a difference of two arms in a design (N,): `run` of one run, beyond what all runs share.

    `fixed` is that of one run over patients (a part of `run`), `patients` that of the difference that all runs share.
    `seeds` is the number of runs of each arm, `trained` that of arms with runs.
    """

    run: Array
    fixed: Array
    patients: Array
    n: Array
    seeds: int
    trained: int

    @property
    def total(self) -> Array:
        """The variance of the difference (N,)."""
        return self.trained * self.run / self.seeds + self.patients

    def where(self, keep: NDArray[np.bool_]) -> "Variances":
        """Return some of the variances."""
        return replace(self, run=self.run[keep], fixed=self.fixed[keep], patients=self.patients[keep], n=self.n[keep])


def joined(parts: Sequence[Variances]) -> Variances:
    """Return variances of the same runs one after another, so that all thresholds are computed at once."""
    run, fixed, patients, n = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("run", "fixed", "patients", "n")
    )
    return Variances(run, fixed, patients, n, parts[0].seeds, parts[0].trained)


def criterion(
    pairs: Sequence[tuple[int, int]], alpha: float = 0.05, *, arms: int | None = None, folds: int = 1, repeats: int = 1
) -> Criterion:
    """Return the criterion of a family of pairs of arms; `arms` counts those with several seeds (default: of pairs)."""
    several = len({arm for pair in pairs for arm in pair}) if arms is None else arms
    return Criterion(alpha, tuple(pairs), several, folds, repeats)


def thresholds(parts: Variances, rule: Criterion, own: float, family: float) -> Array:
    """Return the smallest differences (N, draws) that pass the two arms' own tests and the family's at these levels."""
    own_squares, mean_square = _mean_squares(parts.trained, rule.arms - parts.trained, parts.seeds)
    variance = parts.run[:, None, None] * own_squares
    df = np.array(max(parts.seeds - 1.0, 1.0))  # of one run each, runs have no variance
    fixed = np.sqrt(parts.patients + parts.trained * parts.fixed / parts.seeds)[:, None]
    most = parts.n[:, None] - 1.0
    edges = [_welch(variance, df, parts, own), _quantile(family, most) * fixed]
    if len(rule.pairs) > 1 and rule.arms >= FEWEST_ARMS:
        leaning = moderate(variance, df, parts.run[:, None, None] * mean_square, rule.arms * (parts.seeds - 1.0))
        edges.append(_welch(*leaning, parts, family, RAISED_LEANING))
    elif family < own:
        edges.append(_welch(variance, df, parts, family))
    if rule.folds > 1:
        edges.append(_new_data(parts, rule, family))
    edges.append((rule.unseen / parts.n)[:, None])
    edge = edges[0]
    for other in edges[1:]:
        edge = np.maximum(edge, other)
    return edge


def _welch(variance: Array, df: Array, parts: Variances, level: float, raised: float = RAISED) -> Array:
    own = variance / parts.seeds
    patients = parts.patients[:, None]
    squared = own.sum(axis=-1) + patients
    arms = own.shape[-1]
    freedom = effective_df([own[..., k] for k in range(arms)], [df] * arms, patients, raised)
    return np.asarray(_quantile(level, np.minimum(freedom, parts.n[:, None] - 1.0)) * np.sqrt(squared))


def _new_data(parts: Variances, rule: Criterion, level: float) -> Array:
    """Return the threshold of the corrected resampled t: fold-wise differences vary K times as much as their mean."""
    tested = rule.folds * rule.repeats
    factor = rule.folds * (1 / tested + 1 / (rule.folds - 1))
    ranks = np.random.default_rng(1).permutation(DRAWS)
    spread = chdtri(tested - 1, (ranks + 0.5) / DRAWS) / (tested - 1)
    edge = _quantile(level, np.array([[tested - 1.0]]))
    return np.asarray(edge * np.sqrt(parts.total[:, None] * factor * spread))


@lru_cache(256)
def _mean_squares(trained: int, others: int, seeds: int) -> tuple[Array, Array]:
    """Draw chi-square / df of the pair's own arms (draws, trained), and the mean over all arms (draws, 1).

    A Latin hypercube: every column runs through the same quantiles, in another order.
    """
    generator, df = np.random.default_rng(0), max(seeds - 1, 1)
    ranks = [(generator.permutation(DRAWS) + 0.5) / DRAWS for _ in range(trained + 1)]
    own = np.stack([chdtri(df, rank) / df for rank in ranks[:trained]], axis=1)
    rest = chdtri(others * df, ranks[-1]) / df if others > 0 else 0.0
    return own, ((own.sum(axis=1) + rest) / (trained + max(others, 0)))[:, None]


def _quantile(level: float, df: Array) -> Array:
    """Return Student's two-sided quantile at this level, from a table over 1/df."""
    return np.exp(np.interp(1 / np.maximum(df, 1.0), *_table(level)))


@lru_cache(64)
def _table(level: float) -> tuple[Array, Array]:
    inverse = np.linspace(0.0, 1.0, _TABLE)
    df = np.minimum(1 / np.maximum(inverse, 1e-9), 1e9)
    return inverse, np.log(stdtrit(df, 1 - level / 2))


@lru_cache(256)
def _adjusted(pairs: tuple[tuple[int, int], ...], alpha: float, seeds: int, share: float) -> float:
    """Return the mean level of max-T between equal arms whose variances are estimated from few seeds, as they will be.

    An arm whose variance is large by chance decides many of the differences at once, so the level is milder than with
    known variances.
    """
    arms = 1 + max(max(pair) for pair in pairs)
    generator, df = np.random.default_rng(0), max(seeds - 1, 1)
    spreads = share * generator.chisquare(df, (_COVARIANCES, arms)) / df + 1 - share
    critical = [max_t([0.5] * len(pairs), pairs, np.diag(spread), alpha=alpha).critical for spread in spreads]
    return 1 - level_of(float(np.mean(critical)))
