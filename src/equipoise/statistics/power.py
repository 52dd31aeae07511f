"""Power: the patients and seeds that a difference needs, and the difference that a design can detect.

One function of sample size serves `check` before a trial and the judgement after it. Everything is at the level and by
the tests of the judgement (`criterion`), and no number is below what a verdict needs at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr

from equipoise.statistics.comparison import Design, pooled_variance
from equipoise.statistics.criterion import DRAWS, Criterion, Variances, joined, thresholds

Array = NDArray[np.float64]
POWER = 0.8
SEEDS = (3, 5, 10)
MOST = 10_000_000
ALONE = Criterion()


@dataclass(frozen=True)
class Components:
    """Variance components of a difference of two arms; patient terms are those measured with `n_patients`.

    `seed` is the variance between training runs beyond that due to patients, with `seed_df` degrees of freedom; `error`
    a single run's own patient variance (not shared with other runs of the arm); `patients` the variance of the
    difference that all runs share, both with `patient_df` degrees of freedom (0: known). `trained` is 2, or 1 against a
    deterministic rule.
    """

    seed: float
    error: float
    patients: float
    n_patients: int
    seed_df: int
    trained: int = 2
    patient_df: int = 0

    def of(self, n: Array, seeds: int) -> Variances:
        """Return the variances with n patients (N,) and this number of seeds per arm."""
        fixed = self.error * self.n_patients / n
        return Variances(self.seed + fixed, fixed, self.patients * self.n_patients / n, n, seeds, self.trained)


@dataclass(frozen=True)
class Needed:
    """Patients needed with this number of seeds, with a range; None where no number of patients is enough."""

    seeds: int
    patients: int | None
    low: int | None
    high: int | None


def components(
    design: Design, a: int, b: int, pool: tuple[float, int] | None = None, events: int | None = None
) -> Components:
    """Return the pair's variance components; `pool` is a seed mean square with its df (default: of all arms).

    `events`: the patients of the rarer class, where they and not all patients tell of the variance over patients.
    """
    square, df = pool or pooled_variance(design)
    trained = [k for k in (a, b) if design.seeds[k] > 1]
    error = float(np.mean([max(design.error[k] - design.shared[k], 0.0) for k in trained])) if trained else 0.0
    patients = max(float(design.shared[a] + design.shared[b] - 2 * design.between[a, b]), 0.0)
    known = max((design.n_patients if events is None else events) - 1, 1)
    return Components(max(square - error, 0.0), error, patients, design.n_patients, df, max(len(trained), 1), known)


def power(parts: Components, n: float, seeds: int, difference: float, rule: Criterion = ALONE) -> float:
    """Return the probability that the judgement tells the arms apart whose true difference this is."""
    return float(_powers(parts.of(np.array([float(n)]), seeds), difference, rule)[0])


def power_of_equivalence(parts: Components, n: float, seeds: int, margin: float, rule: Criterion = ALONE) -> float:
    """Return the probability that two one-sided tests show equal arms to be equivalent within the margin."""
    variances = parts.of(np.array([float(n)]), seeds)
    total = float(variances.total[0])
    if total <= 0:
        return 1.0
    level = level_of_equivalence(rule)
    edges = thresholds(variances, rule, level, level)[0]
    return float(np.maximum(2 * ndtr((margin - edges) / np.sqrt(total)) - 1, 0.0).mean())


def level_of_equivalence(rule: Criterion) -> float:
    """Return the two-sided level of the tests of equivalence: that of Holm's first step."""
    return 2 * rule.level / len(rule.pairs)


def patients_needed(
    parts: Components, seeds: int, difference: float, rule: Criterion = ALONE, fewest: int = 2, chance: float = POWER
) -> int | None:
    """Return the smallest number of patients with this power, at least `fewest`; None where seeds prevent
    that power for every number of patients.

    >>> patients_needed(Components(0.0, 0.0, 0.0009, 100, 8), 3, 0.05)
    285
    """
    return _crossings([parts], seeds, difference, rule, fewest, chance)[0]


def needed(
    parts: Components,
    difference: float,
    rule: Criterion = ALONE,
    seeds: Sequence[int] = SEEDS,
    fewest: int = 2,
    chance: float = POWER,
) -> tuple[Needed, ...]:
    """Return the patients needed for each number of seeds, at least `fewest`, with the range of what is uncertain.

    The range is from the lower ends of 80 % intervals of the variances, between runs and over patients, to the upper.
    """
    variants = [_at(parts, 0.1), parts, _at(parts, 0.9)]
    out = []
    for count in seeds:
        low, middle, high = _crossings(variants, count, difference, rule, fewest, chance)
        out.append(_enclosed(Needed(count, *(_no_fewer(n, 2, fewest) for n in (middle, low, high)))))
    return tuple(out)


def _crossings(
    variants: Sequence[Components], seeds: int, difference: float, rule: Criterion, fewest: int, chance: float
) -> list[int | None]:
    """Return the fewest patients with this power for each of the components; None where no number is enough."""
    # A grid shows where the power is enough for the first time; a finer grid follows between that point and the one
    # before, for all components at once. Power usually rises with the number of patients, but it can fall again once
    # runs dominate the error, whose level is stricter where runs are few: so the whole grid counts, not its end alone.
    count = len(variants)
    low, high = np.full(count, float(max(fewest, 2))), np.full(count, float(MOST))
    never, at_once = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for index, points in enumerate((16, 8, 8, 8)):
        grid = np.geomspace(low, high, points)  # (points, variants)
        parts = [v.of(grid[:, k], seeds) for k, v in enumerate(variants)]
        reached = _powers(joined(parts), difference, rule).reshape(count, points).T
        enough = reached >= chance
        if index == 0:
            never, at_once = np.logical_not(enough.any(axis=0)), enough[0]
        first = np.clip(np.argmax(enough, axis=0), 1, points - 1)
        low, high = grid[first - 1, range(count)], grid[first, range(count)]
    whole = np.where(at_once, max(fewest, 2), np.ceil(high))
    return [None if none else int(n) for n, none in zip(whole, never, strict=True)]


def seeds_needed(
    parts: Components,
    difference: float,
    n: float = MOST,
    rule: Criterion = ALONE,
    most: int = 200,
    chance: float = POWER,
) -> int | None:
    """Return the fewest seeds, from 3, with this power for n patients (default: practically infinite); else None."""
    if power(parts, n, most, difference, rule) < chance:
        return None
    low, high = 2, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(parts, n, middle, difference, rule) >= chance else (middle, high)
    return high


def detectable(parts: Components, n: float, seeds: int, rule: Criterion = ALONE) -> float:
    """Return the difference that n patients and this number of seeds detect with 80 % power."""
    variances = parts.of(np.array([float(n)]), seeds)
    total = float(variances.total[0])
    if total <= 0:
        return 0.0
    edges = _edges(variances, rule)[0] / np.sqrt(total)
    most = float(edges.max()) + 2.0  # beyond it the power exceeds 80 %
    return float(brentq(lambda d: _passed(d, edges) - POWER, 0.0, most, xtol=1e-9)) * float(np.sqrt(total))


def guard_decides(smallest: float | None, alone: float | None) -> bool:
    """Return whether the guard against failures that nobody saw sets a detectable difference, and not the tests alone.

    >>> guard_decides(0.141, 0.07), guard_decides(0.071, 0.07), guard_decides(None, None)
    (True, False, False)
    """
    return smallest is not None and alone is not None and smallest > _CLEARLY * alone


_CLEARLY = 1.05


def rounded(number: int | None, digits: int) -> int | None:
    """Round to this number of leading digits, because more would claim a precision that the estimate does not have.

    >>> rounded(1078, 1), rounded(1078, 2), rounded(None, 1)
    (1000, 1100, None)
    """
    return None if number is None else int(float(f"{number:.{digits - 1}e}"))


def _no_fewer(number: int | None, digits: int, fewest: int) -> int | None:
    """Round, but not below the number that a verdict needs at all."""
    return None if number is None else max(rounded(number, digits) or 0, fewest)


def _enclosed(need: Needed) -> Needed:
    """Return the number inside its range, also where the power of fewer runs' variances is not monotone.

    >>> _enclosed(Needed(3, patients=130, low=140, high=None))
    Needed(seeds=3, patients=130, low=130, high=None)
    """
    if need.patients is None:
        return need
    low = None if need.low is None else min(need.low, need.patients)
    return replace(need, low=low, high=None if need.high is None else max(need.high, need.patients))


def _powers(variances: Variances, difference: float, rule: Criterion) -> Array:
    """Return the power for each of the variances (N,)."""
    total = variances.total
    spread = np.sqrt(np.where(total > 0, total, 1.0))
    edges = _edges(variances, rule) / spread[:, None]
    return np.where(total > 0, _passed((difference / spread)[:, None], edges), 1.0)


def _edges(variances: Variances, rule: Criterion) -> Array:
    """Return the thresholds (N, draws) of a difference at the levels of the judgement."""
    total = np.maximum(variances.total, np.finfo(float).tiny)
    share = np.clip(1 - variances.patients / total, 0.0, 1.0)
    levels = np.array([rule.adjusted(variances.seeds, float(one)) for one in share])
    out = np.empty((len(total), DRAWS))
    for level in np.unique(levels):
        same = levels == level
        out[same] = thresholds(variances.where(same), rule, rule.level, float(level))
    return out


def _passed(shift: float | Array, edges: Array) -> Array:
    """Return the probability that a unit normal about the shift lies beyond the edges on either side."""
    return np.asarray((ndtr(shift - edges) + ndtr(-shift - edges)).mean(axis=-1))


def _at(parts: Components, tail: float) -> Components:
    """Return the components at one end of their 80 % intervals (`tail` .1: the lower, .9: the upper)."""
    square = parts.seed + parts.error
    run = square * parts.seed_df / float(chdtri(parts.seed_df, tail)) if parts.seed_df else square
    over = parts.patient_df / float(chdtri(parts.patient_df, tail)) if parts.patient_df else 1.0
    error = parts.error * over
    return replace(parts, seed=max(run - error, 0.0), error=error, patients=parts.patients * over)
