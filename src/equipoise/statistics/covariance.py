"""Estimate the covariance of a metric between all arms and seeds that is due to the sampling of test patients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.statistics.influence import Influence
from equipoise.statistics.unequal_patients import Piece

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimates:
    """A metric of every column (columns,), its covariance (columns, columns), and the values per fold.

    `independent` is the variance if cases were independent (columns,); `by_fold` is (folds, columns). `influence` is
    that of the patients (columns, patients), in each fold; `pieces` that of each class of cases, with its sizes.
    """

    value: Array
    covariance: Array
    independent: Array
    n_patients: int
    by_fold: Array
    influence: tuple[Array, ...] = ()
    pieces: tuple[Piece, ...] = ()


def estimates(folds: Sequence[Influence]) -> Estimates:
    """Average the within-fold metric over folds, and estimate its covariance over patients.

    A patient's influence is summed over the folds that tested the patient (repeats of cross-validation) and divided by
    the number of folds. Bias corrections I/(I - 1) are those of each fold, because each fold is centred separately.
    """
    count = len(folds)
    by_fold = np.stack([fold.value for fold in folds])
    patients = int(np.logical_or.reduce([fold.present for fold in folds]).sum())
    folds = _with_equal_parts(folds)
    parts = range(len(folds[0].parts))
    covariance = sum(_gram([fold.parts[k] * _root(fold.counts[k]) for fold in folds]) for k in parts)
    totals = tuple(fold.total for fold in folds)
    # Patients with cases of several classes contribute to several parts: the products of different parts, which the sum
    # of squares above lacks, are those of the total less those of the parts.
    if len(parts) > 1:
        covariance = covariance + _gram(
            [total * _root(int(fold.present.sum())) for total, fold in zip(totals, folds, strict=True)]
        )
        for k in parts:
            covariance = covariance - _gram([fold.parts[k] * _root(int(fold.present.sum())) for fold in folds])
    independent = np.asarray(np.sum([fold.independent for fold in folds], axis=0))
    covariance, independent = np.asarray(covariance) / count**2, independent / count**2
    return Estimates(by_fold.mean(axis=0), covariance, independent, patients, by_fold, totals, _pieces(folds))


def _with_equal_parts(folds: Sequence[Influence]) -> Sequence[Influence]:
    """Return the folds with as many parts each: one whose influence is not divided by class gets empty parts.

    Average precision is compared by leaving out patients in a fold of few positive ones, and by its derivative, a part
    for each class, in another.
    """
    most = max(len(fold.parts) for fold in folds)
    if all(len(fold.parts) == most for fold in folds):
        return folds
    return [
        replace(
            fold,
            parts=(*fold.parts, *[np.zeros_like(fold.parts[0])] * (most - len(fold.parts))),
            counts=(*fold.counts, *[fold.counts[0]] * (most - len(fold.counts))),
        )
        for fold in folds
    ]


def _pieces(folds: Sequence[Influence]) -> tuple[Piece, ...]:
    """Return the pieces of the folds up to the first that tests a patient again: repeats tell of the same patients."""
    seen = np.zeros(len(folds[0].present), dtype=bool)
    out: list[Piece] = []
    for fold in folds:
        if (seen & fold.present).any():
            break
        seen |= fold.present
        # Without sizes all patients are equal.
        pairs = fold.levers or zip(fold.parts, fold.sizes, strict=bool(fold.sizes))
        out += [Piece(part, own) for part, own in pairs]
    return tuple(out)


def _root(patients: int) -> float:
    """Return the square root of the correction I / (I - 1), so that sums over folds contain it."""
    return float(np.sqrt(patients / (patients - 1))) if patients > 1 else 1.0


def _sum(parts: Sequence[Array]) -> Array:
    return sum(parts[1:], start=parts[0])


def _gram(scaled: Sequence[Array]) -> Array:
    total = _sum(scaled)
    return np.asarray(total @ total.T)
