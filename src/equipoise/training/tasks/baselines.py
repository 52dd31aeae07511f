"""Trivial rules that always stand beside the arms: what is a network worth that does not beat them?

majority-class answers every case with the training cases' class shares; the size rule is a logistic regression on the
one attribute that the cohort names as size (nodule diameter in mm); without one, the intensity rule uses the mean
of the prepared image. They have no seed: the same training cases give the same rule.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from equipoise.cohorts import Cohort
from equipoise.errors import CohortError
from equipoise.evaluation.predictions import Predictions

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
RIDGE = 1e-5
"""Weight decay of the logistic rule, so that a perfect separation still has a finite optimum."""


@dataclass(frozen=True)
class Baseline:
    """A rule: its name and `fit(train indices) -> (indices -> class probabilities)`."""

    name: str
    fit: Callable[[Indices], Callable[[Indices], Array]]


def baselines(cohort: Cohort, mean_intensity: Array | None = None) -> tuple[Baseline, ...]:
    """The rules for a classification cohort.

    mean_intensity: mean of each prepared case (n,), used where the cohort names no size.
    """
    rules = [Baseline("majority-class", lambda train: _class_shares(cohort, train))]
    if cohort.size_attribute is not None:
        size = _attribute(cohort, cohort.size_attribute)
        rules.append(Baseline("size-rule", lambda train: _logistic(cohort, size, train)))
    elif mean_intensity is not None:
        rules.append(Baseline("intensity-rule", lambda train: _logistic(cohort, mean_intensity, train)))
    return tuple(rules)


def _attribute(cohort: Cohort, name: str) -> Array:
    values = [case.attributes.get(name) for case in cohort.cases]
    for case, value in zip(cohort.cases, values, strict=True):
        if not isinstance(value, int | float) or not np.isfinite(value):
            raise CohortError(
                f"case {case.id} has {name} = {value!r}, and the size rule needs a number; mend or exclude it"
            )
    return np.array(values, dtype=np.float64)


def _class_shares(cohort: Cohort, train: Indices) -> Callable[[Indices], Array]:
    counts = np.bincount(cohort.labels[train], minlength=len(cohort.classes)).astype(float)
    shares = counts / counts.sum()
    return lambda indices: np.tile(shares, (len(indices), 1))


def _logistic(cohort: Cohort, values: Array, train: Indices) -> Callable[[Indices], Array]:
    """Multinomial logistic regression on (1, z, z²) of the standardised value, by maximum likelihood."""
    center, width = values[train].mean(), values[train].std() or 1.0
    z = (values - center) / width
    design = np.stack([np.ones_like(z), z, z**2], axis=1)
    classes = len(cohort.classes)
    truth = np.eye(classes)[cohort.labels[train]]

    def objective(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(3, classes)
        logits = design[train] @ weights
        loss = -(truth * log_softmax(logits, axis=1)).sum(axis=1).mean() + RIDGE * (weights[1:] ** 2).sum()
        gradient = design[train].T @ (softmax(logits, axis=1) - truth) / len(train)
        gradient[1:] += 2 * RIDGE * weights[1:]
        return float(loss), gradient.ravel()

    fitted = minimize(objective, np.zeros(3 * classes), jac=True, method="L-BFGS-B")
    weights = fitted.x.reshape(3, classes)
    return lambda indices: np.asarray(softmax(design[indices] @ weights, axis=1))


def predict_baseline(
    rule: Baseline, cohort: Cohort, fold: int, train: Indices, parts: dict[str, Indices]
) -> Predictions:
    """The rule, fitted on the training cases, on the cases of `parts` (split name → case indices)."""
    answer = rule.fit(train)
    indices = np.concatenate(list(parts.values()))
    n = len(indices)
    chosen = [cohort.cases[index] for index in indices]
    return Predictions(
        case=np.array([case.id for case in chosen]),
        patient=np.array([case.patient for case in chosen]),
        split=np.concatenate([np.full(len(part), name) for name, part in parts.items()]),
        arm=np.full(n, rule.name),
        fold=np.full(n, fold),
        seed=np.zeros(n, dtype=np.int64),
        truth=cohort.labels[indices],
        scores=answer(indices),
        classes=cohort.classes,
    )
