"""Classification before torch: prepare cases, and fit the trivial baselines with which every arm is compared.

majority-class gives every case the training cases' class shares; the size rule is a logistic regression on the one
attribute that the cohort names as size (nodule diameter in mm); without one, the intensity rule uses the mean of the
prepared image. The rules have no seed: the same training cases give the same rule.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from equipoise.cohorts import Cohort
from equipoise.errors import CohortError
from equipoise.evaluation.predictions import Predictions
from equipoise.preprocessing import Pipeline, prepare_in_chunks
from equipoise.tasks.classification import case_sizes
from equipoise.training.data.samples import PreparedCase
from equipoise.training.preparation.task_preparation import Indices, Opening

Array = NDArray[np.float64]
RIDGE = 1e-5
"""Weight decay of the logistic rule; with it, perfectly separated classes still have a finite optimum."""


@dataclass(frozen=True)
class Baseline:
    """A trivial rule: its name and `fit(train indices) -> (indices -> class probabilities)`."""

    name: str
    fit: Callable[[Indices], Callable[[Indices], Array]]


def baselines(cohort: Cohort, mean_intensity: Array | None = None) -> tuple[Baseline, ...]:
    """Return the rules for a classification cohort.

    mean_intensity: mean of each prepared case (n,), used where the cohort names no size.
    """
    rules = [Baseline("majority-class", lambda train: _class_shares(cohort, train))]
    # Size explains much of a diagnosis such as malignancy, so a network must at least beat it. Mean intensity is the
    # substitute: no network is needed to separate classes that differ in exposure alone.
    if cohort.size_attribute is not None:
        size = case_sizes(cohort, cohort.size_attribute)
        rules.append(Baseline("size-rule", lambda train: _logistic(cohort, size, train)))
    elif mean_intensity is not None:
        rules.append(Baseline("intensity-rule", lambda train: _logistic(cohort, mean_intensity, train)))
    return tuple(rules)


def _class_shares(cohort: Cohort, train: Indices) -> Callable[[Indices], Array]:
    counts = np.bincount(cohort.labels[train], minlength=len(cohort.classes)).astype(float)
    shares = counts / counts.sum()
    return lambda indices: np.tile(shares, (len(indices), 1))


def _logistic(cohort: Cohort, values: Array, train: Indices) -> Callable[[Indices], Array]:
    """Fit a multinomial logistic regression on (1, z, z²) of the standardised value, by maximum likelihood."""
    center, width = values[train].mean(), values[train].std() or 1.0
    z = (values - center) / width
    # The square lets a class lie between two others, or on both sides of one; a linear rule could not express that.
    design = np.stack([np.ones_like(z), z, z**2], axis=1)
    classes = len(cohort.classes)
    truth = np.eye(classes)[cohort.labels[train]]

    def objective(flat: Array) -> tuple[float, Array]:
        """Negative log-likelihood of the rule, and its gradient."""
        weights = flat.reshape(3, classes)
        logits = design[train] @ weights
        loss = -(truth * log_softmax(logits, axis=1)).sum(axis=1).mean() + RIDGE * (weights[1:] ** 2).sum()
        # The exact gradient, because differences would limit the precision of the optimum and of its reproduction.
        gradient = design[train].T @ (softmax(logits, axis=1) - truth) / len(train)
        gradient[1:] += 2 * RIDGE * weights[1:]
        return float(loss), gradient.ravel()

    fitted = minimize(objective, np.zeros(3 * classes), jac=True, method="L-BFGS-B")
    weights = fitted.x.reshape(3, classes)
    return lambda indices: np.asarray(softmax(design[indices] @ weights, axis=1))


def predict_baseline(
    rule: Baseline, cohort: Cohort, fold: int, train: Indices, parts: dict[str, Indices]
) -> Predictions:
    """Fit the rule on the training cases and predict the cases of `parts` (split name → case indices)."""
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


def prepared_cases(
    cohort: Cohort, indices: Indices, pipeline: Pipeline, targets: NDArray[np.generic]
) -> Iterator[PreparedCase]:
    """Yield the cases in the order of `indices`, each with its target (n,), for every task with one answer per case.

    Raises CohortError for a case with values that are not finite.
    """
    done = 0
    for images, _ in prepare_in_chunks(cohort, np.asarray(indices), pipeline):
        for image in images:
            case = cohort.cases[indices[done]]
            # Refused here, because one NaN would otherwise appear as a diverged loss later, without the case's name.
            if not np.isfinite(image).all():
                raise CohortError(f"case {case.id} has values that are not finite; correct or exclude it")
            yield PreparedCase(case.id, case.patient, {"images": image, "targets": np.asarray(targets[done])})
            done += 1


class _Preparation:
    """See `TaskPreparation`."""

    def prepared(
        self,
        cohort: Cohort,
        indices: Indices,
        pipeline: Pipeline,
        targets: str,  # noqa: ARG002 (of masks)
    ) -> Iterator[PreparedCase]:
        """See `TaskPreparation.prepared`."""
        return prepared_cases(cohort, indices, pipeline, cohort.labels[indices])

    def baselines(self, opening: Opening) -> Iterator[Predictions]:
        """See `TaskPreparation.baselines`."""
        cohort, fold = opening.cohort, opening.fold
        mean = None if cohort.size_attribute is not None else self._mean_intensity(opening)
        parts = {part: fold.part(part) for part in opening.held_out}
        for rule in baselines(cohort, mean):
            yield predict_baseline(rule, cohort, opening.number, fold.train, parts)

    def _mean_intensity(self, opening: Opening) -> NDArray[Any]:
        """Return the mean of every prepared image (n,); 0 for cases outside the fold, which no rule uses."""
        mean = np.zeros(len(opening.cohort), np.float32)
        for part, samples in {"train": opening.train(), **opening.held_out}.items():
            images = np.asarray(samples.images).reshape(len(samples), -1)
            mean[opening.fold.part(part)] = images.mean(axis=1)
        return mean


PREPARATION = _Preparation()
