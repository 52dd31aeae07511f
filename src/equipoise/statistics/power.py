"""Power: the patients and seeds that a difference needs, and the difference that a design can detect."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, nctdtr, ndtr

from equipoise.statistics.comparison import Design, pooled_variance
from equipoise.statistics.intervals import quantile

POWER = 0.8
SEEDS = (3, 5, 10)
FACTOR = 1.15  # simulated power was 2-4 points below the formula with the guarded standard error
MOST = 10_000_000


@dataclass(frozen=True)
class Components:
    """Variance components of a difference of two arms; patient terms are those measured with `n_patients`.

    `seed` is the variance between training runs beyond that due to patients, with `seed_df` degrees of freedom; `error`
    a single run's own patient variance (not shared with other runs of the arm); `patients` the variance of the
    difference that all runs share. `trained` is 2, or 1 against a deterministic rule.
    """

    seed: float
    error: float
    patients: float
    n_patients: int
    seed_df: int
    trained: int = 2

    def terms(self, n: float, seeds: int) -> tuple[float, float]:
        """Return squared standard error and degrees of freedom with n patients and this number of seeds per arm."""
        square = self.seed + self.error * self.n_patients / n
        own = self.trained * square / seeds
        total = own + self.patients * self.n_patients / n
        return total, total**2 / own**2 * self.trained * (seeds - 1) if own > 0 else np.inf


@dataclass(frozen=True)
class Needed:
    """Patients needed with this number of seeds, with a range; None where no number of patients is enough."""

    seeds: int
    patients: int | None
    low: int | None
    high: int | None


def components(design: Design, a: int, b: int, pool: tuple[float, int] | None = None) -> Components:
    """Return the pair's variance components; `pool` is a seed mean square with its df (default: of all arms)."""
    square, df = pool or pooled_variance(design)
    trained = [k for k in (a, b) if design.seeds[k] > 1]
    error = float(np.mean([max(design.error[k] - design.shared[k], 0.0) for k in trained])) if trained else 0.0
    patients = max(float(design.shared[a] + design.shared[b] - 2 * design.between[a, b]), 0.0)
    return Components(max(square - error, 0.0), error, patients, design.n_patients, df, max(len(trained), 1))


def power(parts: Components, n: float, seeds: int, difference: float, alpha: float = 0.05) -> float:
    """Return the probability that the two-sided t test detects the difference."""
    squared, df = parts.terms(n, seeds)
    if squared <= 0:
        return 1.0
    shift, edge = difference / np.sqrt(squared), quantile(1 - alpha / 2, df)
    if np.isinf(df) or df > 1e6:
        return float(ndtr(shift - edge) + ndtr(-shift - edge))
    chance = float(1 - nctdtr(df, shift, edge) + nctdtr(df, shift, -edge))
    # scipy's noncentral t underflows to NaN at shifts beyond about 37, where the power is 1 or 0.
    return chance if np.isfinite(chance) else float(shift > edge)


def power_of_equivalence(parts: Components, n: float, seeds: int, margin: float, alpha: float = 0.05) -> float:
    """Return the probability that two one-sided tests show equal arms to be equivalent within the margin.

    The estimated standard error is itself uncertain: the power is averaged over quantiles of its chi-square
    distribution.
    """
    squared, df = parts.terms(n, seeds)
    if squared <= 0:
        return 1.0
    ranks = (np.arange(200) + 0.5) / 200
    spread = np.ones(1) if np.isinf(df) else np.sqrt(chdtri(df, ranks) / df)
    room = margin / np.sqrt(squared) - quantile(1 - alpha, df) * spread
    return float(np.maximum(2 * ndtr(room) - 1, 0.0).mean())


def patients_needed(parts: Components, seeds: int, difference: float, alpha: float = 0.05) -> int | None:
    """Return the smallest number of patients with 80 % power, times 1.15; None where seeds alone prevent that power.

    >>> patients_needed(Components(0.0, 0.0, 0.0009, 100, 8), 3, 0.05)
    326
    """
    if power(parts, MOST, seeds, difference, alpha) < POWER:
        return None
    low, high = 2, MOST
    while low < high:
        middle = (low + high) // 2
        if power(parts, middle, seeds, difference, alpha) >= POWER:
            high = middle
        else:
            low = middle + 1
    return int(np.ceil(low * FACTOR))


def needed(
    parts: Components, difference: float, alpha: float = 0.05, seeds: Sequence[int] = SEEDS
) -> tuple[Needed, ...]:
    """Return the patients needed for each number of seeds; the range is by an 80 % interval of the seed variance."""
    square = parts.seed + parts.error
    bounds = [
        max(square * parts.seed_df / float(chdtri(parts.seed_df, tail)) - parts.error, 0.0)
        if parts.seed_df
        else parts.seed
        for tail in (0.1, 0.9)
    ]
    out = []
    for count in seeds:
        low, middle, high = (
            patients_needed(replace(parts, seed=s), count, difference, alpha)
            for s in (bounds[0], parts.seed, bounds[1])
        )
        out.append(Needed(count, rounded(middle, 2), rounded(low, 1), rounded(high, 1)))
    return tuple(out)


def seeds_needed(
    parts: Components, difference: float, n: float = MOST, alpha: float = 0.05, most: int = 200
) -> int | None:
    """Return the fewest seeds, from 3, with 80 % power for n patients (default: practically infinite); else None."""
    return next((s for s in range(3, most + 1) if power(parts, n, s, difference, alpha) >= POWER), None)


def detectable(parts: Components, n: float, seeds: int, alpha: float = 0.05) -> float:
    """Return the difference that n patients and this number of seeds detect with 80 % power."""
    squared = parts.terms(n, seeds)[0]
    if squared <= 0:
        return 0.0
    edge = 1.5 * (quantile(1 - alpha / 2, parts.terms(n, seeds)[1]) + 1.0)  # beyond it the power exceeds 80 %
    return float(brentq(lambda d: power(parts, n, seeds, d, alpha) - POWER, 0.0, edge * np.sqrt(squared), xtol=1e-9))


def rounded(number: int | None, digits: int) -> int | None:
    """Round to this number of leading digits, because more would claim a precision that the estimate does not have.

    >>> rounded(1078, 1), rounded(1078, 2), rounded(None, 1)
    (1000, 1100, None)
    """
    return None if number is None else int(float(f"{number:.{digits - 1}e}"))
