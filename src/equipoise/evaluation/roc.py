"""ROC curves, their band over patients and training runs, and operating points chosen on validation cases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError

GRID = np.linspace(0.0, 1.0, 101)
"""False-positive rates at which curves are averaged."""
_WEIGHTS_AT_ONCE = 4_000_000
"""Replicates × cases held in memory together; the draws do not depend on it."""


@dataclass(frozen=True)
class Curve:
    """Points of one ROC curve from (0, 0) to (1, 1): thresholds fall, rates rise."""

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    thresholds: NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One training run's test cases: truth and score of k questions (k, n), and the patient of each case (n,).

    k = 1 for two classes; with more, one class against the rest per question, and their curves are averaged (macro).
    """

    positive: NDArray[np.bool_]
    score: NDArray[np.float64]
    patient: NDArray[np.str_]

    def usable(self) -> bool:
        """Whether every question has cases of both kinds."""
        return bool((self.positive.any(axis=1) & ~self.positive.all(axis=1)).all())


@dataclass(frozen=True)
class Band:
    """Mean sensitivity over runs at each false-positive rate, with its pointwise 95 % band."""

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, and its rates on the cases where it was chosen; a case is positive where score ≥ threshold."""

    threshold: float
    sensitivity: float
    specificity: float


def roc(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> Curve:
    """Compute the ROC curve of scores (higher means more positive); equal scores make one straight step.

    Both classes must be present. Reference: T. Fawcett, Pattern Recognition Letters 27 (2006) 861–874.

    >>> roc(np.array([False, True]), np.array([0.2, 0.7])).tpr.tolist()
    [0.0, 1.0, 1.0]
    """
    if positive.all() or not positive.any():
        raise PredictionError(
            f"a ROC curve needs both classes, found {int(positive.sum())} positive of {positive.size} cases; "
            "use a larger test part"
        )
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), ordered.size - 1)
    true_positives = np.cumsum(positive[order])[last]
    false_positives = last + 1 - true_positives
    return Curve(
        np.append(0.0, false_positives / false_positives[-1]),
        np.append(0.0, true_positives / true_positives[-1]),
        np.append(np.inf, ordered[last]),
    )


def band(runs: Sequence[Run], generator: np.random.Generator, replicates: int = 500) -> Band:
    """Average the runs' curves vertically, with a pointwise 95 % band over patients and runs.

    Each replicate draws patients with replacement (the same draw for all runs) and runs with replacement; the band
    is the 2.5th to 97.5th percentile of the replicates' mean curves. The band is pointwise and serves a figure;
    verdicts come from `equipoise.statistics`. With three runs it is somewhat narrow where runs differ much.
    """
    patients = np.unique(np.concatenate([run.patient for run in runs]))
    owner = [np.searchsorted(patients, run.patient) for run in runs]
    step = max(1, _WEIGHTS_AT_ONCE // max(map(len, owner)))
    parts = []
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        weights = generator.multinomial(patients.size, np.full(patients.size, 1 / patients.size), size=size)
        # Weights in place of copied rows: each run is sorted once and its cumulative sums serve all replicates.
        parts.append(np.stack([_weighted_curves(run, weights[:, own]) for run, own in zip(runs, owner, strict=True)]))
    curves = np.concatenate(parts, axis=1)
    chosen = generator.integers(len(runs), size=(len(runs), replicates))
    replicate_means = np.mean(curves[chosen, np.arange(replicates)], axis=0)
    # With few patients a replicate may lack a class, and then it has no curve.
    replicate_means = replicate_means[np.isfinite(replicate_means).all(axis=1)]
    own = [roc(*question) for run in runs for question in zip(run.positive, run.score, strict=True)]
    mean = np.mean([_at_grid(curve.fpr, curve.tpr) for curve in own], axis=0)
    low, high = np.percentile(replicate_means, [2.5, 97.5], axis=0) if len(replicate_means) else (mean, mean)
    return Band(GRID, mean, low, high)


def _at_grid(fpr: NDArray[np.float64], tpr: NDArray[np.float64]) -> NDArray[np.float64]:
    # On a vertical step the upper end counts, so the points below it are dropped before interpolation.
    last = np.append(np.diff(fpr) > 0, True)
    values: NDArray[np.float64] = np.interp(GRID, fpr[last], tpr[last])
    return values


def _weighted_curves(run: Run, weights: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return sensitivities at GRID, one row per replicate of weights (replicates, n); NaN where a class is missing."""
    questions = [_weighted(*question, weights) for question in zip(run.positive, run.score, strict=True)]
    return np.mean(questions, axis=0)  # type: ignore[no-any-return]


def _weighted(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.integer]
) -> NDArray[np.float64]:
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), order.size - 1)
    ordered = weights[:, order].astype(np.float64)
    true_positives = np.cumsum(ordered * positive[order], axis=1)[:, last]
    false_positives = np.cumsum(ordered * ~positive[order], axis=1)[:, last]
    out = np.full((weights.shape[0], GRID.size), np.nan)
    for row, (tp, fp) in enumerate(zip(true_positives, false_positives, strict=True)):
        if tp[-1] > 0 and fp[-1] > 0:
            out[row] = _at_grid(np.append(0.0, fp / fp[-1]), np.append(0.0, tp / tp[-1]))
    return out


def youden_point(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> OperatingPoint:
    """Choose the threshold with the largest sensitivity + specificity (Youden's J); the more sensitive among equals."""
    curve = roc(positive, score)
    best = curve.tpr - curve.fpr
    return _point(curve, int(np.flatnonzero(best >= best.max() - 1e-12)[-1]))


def sensitive_point(positive: NDArray[np.bool_], score: NDArray[np.float64], sensitivity: float) -> OperatingPoint:
    """Choose the highest threshold that reaches `sensitivity` (in (0, 1])."""
    # The tolerance is for sensitivities such as 0.95 of 20 cases, which 19/20 misses by rounding alone.
    curve = roc(positive, score)
    return _point(curve, int(np.argmax(curve.tpr >= sensitivity - 1e-12)))


def _point(curve: Curve, index: int) -> OperatingPoint:
    return OperatingPoint(float(curve.thresholds[index]), float(curve.tpr[index]), float(1 - curve.fpr[index]))
