"""A task of one's own in one file: a number a case, judged by its mean absolute error. No other file knows of it.

The protocol beside it says `task = "toy_regression:REGRESSION"` and `source = "toy_regression:discs"`. torch is
imported only inside functions, because the first process of a trial, which reads this file too, holds none.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.cohorts import Case, Cohort, Image
from equipoise.statistics.endpoints import Endpoint, Kind
from equipoise.tasks import Task
from equipoise.training.preparation import Opening, prediction_rows
from equipoise.training.preparation.classification import prepared_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from equipoise.evaluation.predictions import Predictions
    from equipoise.preprocessing import Pipeline
    from equipoise.runfolder.job import Job
    from equipoise.tasks.task import CohortLike
    from equipoise.training.data.samples import PreparedCase, Samples
    from equipoise.training.learner.learner import Learner

NUMBER = "diameter_cm"
MAE = Endpoint("mean_absolute_error", Kind.MEAN, higher_is_better=False, high=np.inf, unit="cm")


def discs(path: None = None, *, cases: int = 100, task: str = "toy_regression:REGRESSION") -> Cohort:
    """Bright discs in noise, two cases a patient; the number sought is the diameter in cm."""
    diameters = np.random.default_rng(0).uniform(0.4, 1.4, cases)
    made = tuple(
        Case(f"c{k:03d}", f"p{k // 2:03d}", partial(_disc, k, float(diameter)), attributes={NUMBER: float(diameter)})
        for k, diameter in enumerate(diameters)
    )
    return Cohort("discs", task, made, ("diameter",), ("grey",), 2)


def _disc(key: int, diameter_cm: float) -> Image:
    rows, columns = np.indices((16, 16)) - 7.5
    noise = np.random.default_rng([1, key]).normal(0, 0.1, (16, 16))
    return Image(((rows**2 + columns**2 <= (5 * diameter_cm) ** 2) + noise)[None].astype(np.float32), (1.0, 1.0))


def numbers(cohort: CohortLike) -> np.ndarray:
    """The number of every case (n,)."""
    return np.array([case.attributes[NUMBER] for case in cohort.cases], np.float32)


def quarters(cohort: CohortLike) -> np.ndarray:
    """In which quarter of all cases each one's number lies (n,): every part gets small and large ones."""
    values = numbers(cohort)
    return np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values)


def absolute_error(answer: Tensor, number: Tensor) -> Tensor:
    """Mean of |answer (n, 1) − number (n,)|."""
    return (answer[:, 0] - number).abs().mean()


class _Preparation:
    def prepared(self, cohort: Cohort, indices: Any, pipeline: Pipeline, targets: str) -> Iterator[PreparedCase]:
        return prepared_cases(cohort, indices, pipeline, numbers(cohort)[indices])

    def baselines(self, opening: Opening) -> Iterator[Predictions]:
        guess = numbers(opening.cohort)[opening.fold.train].mean()
        truths = np.concatenate([samples.targets for samples in opening.held_out.values()])
        errors = {MAE.name: np.abs(truths - guess).astype(np.float64)}
        yield prediction_rows(opening.held_out, "mean-number", opening.number, 0, metrics=errors)


class _Training:
    def output_shape(self, job: Job, cases: int, spatial: tuple[int, ...]) -> tuple[int, ...]:
        return (cases, job.outputs)

    def answer_one(self, learner: Learner, samples: Samples, job: Job) -> object:
        from equipoise.training.tasks.classification import classify_one

        return classify_one(learner, samples, job)

    def validate(self, learner: Learner, samples: Samples, job: Job) -> tuple[float, float]:
        error = float(self._errors(learner, samples, job).mean())
        return error, error

    def predict(
        self, learner: Learner, samples: Samples, job: Job, part: str
    ) -> tuple[Predictions, dict[str, np.ndarray]]:
        errors = {MAE.name: self._errors(learner, samples, job)}
        return prediction_rows({part: samples}, job.arm.name, job.fold, job.seed, metrics=errors), {}

    def useless_loss(self, job: Job, train: Samples, validation: Samples) -> float | None:
        return float(np.abs(np.asarray(validation.targets) - np.mean(train.targets)).mean())

    def _errors(self, learner: Learner, samples: Samples, job: Job) -> np.ndarray:
        from equipoise.training.tasks.classification import classify

        return np.abs(classify(learner, samples, job)[:, 0].double().numpy() - np.asarray(samples.targets))


PREPARATION, TRAINING = _Preparation(), _Training()
REGRESSION = Task(
    name="regression",
    truth="number",
    network="classification",
    preparation="toy_regression:PREPARATION",
    training="toy_regression:TRAINING",
    losses=("toy_regression:absolute_error",),
    defaults={
        "endpoints": {"primary": MAE.name, "secondary": ()},
        "training": {"loss": "toy_regression:absolute_error"},
    },
    strata=quarters,
    endpoints=(MAE,),
    endpoint_names=(MAE.name,),
    unplannable="how far networks will be off is not known before one has been trained",
)
