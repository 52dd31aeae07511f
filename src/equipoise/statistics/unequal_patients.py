"""Critical values where patients have unequal numbers of cases: a few of them decide the estimate, and its error.

Over n patients with equal weight, a difference over its standard error is referred to Student's t with n - 1 degrees
of freedom. Where two of sixty patients have a quarter of the cases each, the variance is estimated from two numbers
and is too small by their leverage: the error at .05 is up to .20. Here the quantiles of the statistic are computed
for the patients at hand, each patient's mean being normal with equal variance (all cases of a patient agree, the worst
case), by fixed draws, over those of equal patients. They are returned as a factor of the standard error and degrees of
freedom. Equal patients have the factor 1 and n - 1, exactly. See docs/decisions/0030-unequal-patients.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]
_DRAWS, _LARGEST, _FEWEST = 16_000, 32, 8
"""Draws of the statistic, and the patients drawn one by one, of all pieces and at least of each; all others of a piece
together are drawn as a normal and a χ²."""
_LEVELS = np.array([0.90, 0.95, 0.99])
_DF = np.exp(np.linspace(0.0, np.log(5_000.0), 500))
_RATIO = stdtrit(_DF, 0.995) / stdtrit(_DF, 0.95)
_NEGLIGIBLE = 1.04
"""Patients whose quantiles exceed those of equal ones by less count as equal: the error at .05 is .060 at most."""
_PREVAILS = 5.0
_LARGE_SHARE, _TIMES_EQUAL = 0.2, 4
_STEPS = 20
"""Shares of the variance are rounded to so many steps, so that pairs of a family share their draws."""


@dataclass(frozen=True)
class Piece:
    """Cases that are centred together (a class, a fold): `influence` (arms, patients) on each arm's mean over its runs.

    `sizes` (patients,): the number of cases of each patient.
    """

    influence: Array
    sizes: Array


@dataclass(frozen=True)
class Leverage:
    """By how much a standard error over patients is too small, and the degrees of freedom of its t."""

    factor: float
    df: float


def equal_sizes(sizes: Array) -> bool:
    """Return whether all patients with a case have as many cases."""
    own = sizes[sizes > 0]
    return not len(own) or bool(own.min() == own.max())


def unequal(pieces: Sequence[Piece]) -> bool:
    """Return whether a patient has several times the cases of an equal one."""
    return any(piece.sizes.max() > _PREVAILS * piece.sizes[piece.sizes > 0].mean() for piece in pieces)


def effective_share(sizes: Array) -> float:
    """Return how many equal patients tell as much as these, all cases of each agreeing, over their number.

    >>> effective_share(np.array([5.0, 5.0, 5.0, 0.0])), round(effective_share(np.array([80.0, 80.0, 3.0, 3.0])), 2)
    (1.0, 0.54)
    """
    own = sizes[sizes > 0]
    return 1.0 if equal_sizes(own) else float(own.sum() ** 2 / (own**2).sum() / len(own))


def contributors(pieces: Sequence[Piece], weights: Array) -> float:
    """Return how many patients an estimate rests on, (Σu²)² / Σu⁴ of their influence; infinite where none has any.

    weights: (arms,), 1 and -1 for a difference.
    """
    moved = np.concatenate([weights @ piece.influence for piece in pieces]) if pieces else np.zeros(1)
    fourth = float((moved**4).sum())
    return float((moved**2).sum() ** 2 / fourth) if fourth > 0 else float("inf")


def prevailing(patient: NDArray[np.int64], group: NDArray[np.int64]) -> tuple[int, int, int] | None:
    """Return the cases of the patient with the largest share of a group, that of the group, and the group; else None.

    patient, group: (cases,). A patient prevails with a fifth of the cases that is four times an equal patient's share,
    as in a planned trial.
    """
    largest = None
    for label in np.unique(group).tolist():
        counts = np.unique(patient[group == label], return_counts=True)[1]
        most, cases = int(counts.max()), int(counts.sum())
        if len(counts) < 2 or most < cases * max(_LARGE_SHARE, _TIMES_EQUAL / len(counts)):
            continue
        if largest is None or most * largest[1] > largest[0] * cases:
            largest = (most, cases, int(label))
    return largest


def floor_of_variance(pieces: Sequence[Piece], arm: int) -> float:
    """Return by how much an arm's variance over patients is too small where all patients vary alike; at least 1.

    Only where a patient has `_PREVAILS` times the cases of an equal one: near the end of a range the few large patients
    have no error in most samples, and their own spread says that there is none.
    """
    own = sum(float((piece.influence[arm] ** 2).sum()) for piece in pieces)
    if not unequal(pieces) or own <= 0:
        return 1.0
    return max(sum(_by_cases(piece.influence[arm], piece.sizes) for piece in pieces) / own, 1.0)


def _by_cases(influence: Array, sizes: Array) -> float:
    """Return the variance as `_variance`, with the squares of patients' means weighted by their cases."""
    weight = sizes[sizes > 0] / sizes.sum()
    return float((influence[sizes > 0] ** 2 / weight).sum() * (weight**2).sum())


def leverage(pieces: Sequence[Piece], weights: Array, n_patients: int) -> Leverage:
    """Return the leverage of the patients in a sum of arms, by `weights` (arms,): 1 and -1 for a difference."""
    plain = Leverage(1.0, n_patients - 1.0)
    if all(equal_sizes(piece.sizes) for piece in pieces):
        return plain
    parts = np.array([_variance(weights @ piece.influence, piece.sizes) for piece in pieces])
    if not parts.sum() > 0:
        return plain
    steps = np.maximum(np.round(_STEPS * parts / parts.sum()), 1).astype(int)
    sizes = tuple(np.sort(piece.sizes[piece.sizes > 0])[::-1].tobytes() for piece in pieces)
    return _leverage(sizes, tuple(steps.tolist()), n_patients)


def _variance(influence: Array, sizes: Array) -> float:
    """Return the variance that a piece adds: of the mean of patients with these sizes, their own means being alike."""
    # By the mean square over patients, each counted once: where the few large ones agree by chance, the sum of their
    # squares is small, and the piece would seem to add nothing just where its variance is underestimated.
    present = sizes > 0
    means = influence[present] / sizes[present]
    return float((means**2).mean() * (sizes[present] ** 2).sum())


@lru_cache(maxsize=4_096)
def _leverage(sizes: tuple[bytes, ...], parts: tuple[int, ...], n_patients: int) -> Leverage:
    given = [one / one.sum() for one in map(np.frombuffer, sizes)]
    # A fixed number of each piece, so that shares of the variance change no draw.
    counts = [min(max(_LARGEST // len(given), _FEWEST), len(one)) for one in given]
    # The same draws over equal patients: what they err by themselves cancels, and Student's t stays the reference.
    alike = _quantiles([np.full(len(one), 1 / len(one)) for one in given], parts, counts)
    larger = np.maximum(_quantiles(given, parts, counts) / alike, 1.0)
    if larger[1] < _NEGLIGIBLE:
        return Leverage(1.0, n_patients - 1.0)
    most = n_patients - 1.0
    needed = stdtrit(most, 0.5 + _LEVELS / 2) * larger
    df = float(min(np.interp(-needed[2] / needed[0], -_RATIO, _DF), most))
    # Where no t has these quantiles, the one that no level exceeds.
    return Leverage(float(max((needed / stdtrit(df, 0.5 + _LEVELS / 2)).max(), 1.0)), df)


def _quantiles(weights: Sequence[Array], parts: Sequence[int], counts: Sequence[int]) -> Array:
    """Return the quantiles (levels,) of |estimate| / standard error.

    weights: of the patients of each piece, falling, with sum 1; parts: the variance of each piece; counts: the patients
    that are drawn one by one.
    """
    drawn = _drawn(sum(counts) + 2 * len(weights))
    estimate, variance, start = np.zeros(_DRAWS), np.zeros(_DRAWS), 0
    for weight, part, count in zip(weights, parts, counts, strict=True):
        stop = start + count
        spread = float(np.sqrt(part / (weight**2).sum()))
        mean, square = _piece(weight, spread, drawn[:, start:stop], drawn[:, stop : stop + 2])
        estimate, variance, start = estimate + mean, variance + square, stop + 2
    return np.asarray(np.quantile(np.abs(estimate) / np.sqrt(variance), _LEVELS))


def _piece(weight: Array, spread: float, one_by_one: Array, together: Array) -> tuple[Array, Array]:
    """Draw a weighted mean and its estimated variance, both (draws,).

    weight: (patients,), falling, with sum 1. one_by_one: (draws, count) normal, of the first patients; together:
    (draws, 2) normal, of all others.
    """
    n, count = len(weight), one_by_one.shape[1]
    largest, others = weight[:count], weight[count:]
    values = spread * one_by_one
    rest = spread**2 * float((others**2).sum())
    mean = values @ largest + np.sqrt(rest) * together[:, 0]
    square = ((largest * (values - mean[:, None])) ** 2).sum(axis=1)
    if rest > 0:
        # A weighted χ² by its mean and variance, by Wilson and Hilferty, around the mean of all.
        c = 2 / 9 * float((others**4).sum()) / float((others**2).sum()) ** 2
        square += rest * np.maximum(1 - c + np.sqrt(c) * together[:, 1], 0.0) ** 3
        third = spread**2 * float((others**3).sum()) / np.sqrt(rest)
        square += mean**2 * float((others**2).sum()) - 2 * mean * third * together[:, 0]
    return mean, np.maximum(square, np.finfo(float).tiny) * n / max(n - 1, 1)


@lru_cache(maxsize=2)
def _drawn(numbers: int) -> Array:
    """Return the fixed normal draws (draws, numbers)."""
    return np.random.default_rng(30).standard_normal((_DRAWS, numbers))
