"""The interface of a task's preparation: work on pixels in the first process of a trial, without torch."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts import Cohort
from equipoise.cohorts.splits.split import Fold
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.segmentation import Metric
from equipoise.lookup import imported
from equipoise.preprocessing import Pipeline
from equipoise.tasks import Task
from equipoise.training.data.samples import PreparedCase, Samples

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Opening:
    """The opened test set of one fold: the cases that trivial rules are fitted on, and those that they predict.

    number: of the fold. held_out: prepared validation and test cases, by part. train: prepares the training cases, for
    rules that learn from them. own: the user's own metrics of masks.
    """

    cohort: Cohort
    number: int
    fold: Fold
    held_out: Mapping[str, Samples]
    train: Callable[[], Samples]
    own: Mapping[str, Metric]


class TaskPreparation(Protocol):
    """One object per task, which its record names as "module:attribute"."""

    def prepared(self, cohort: Cohort, indices: Indices, pipeline: Pipeline, targets: str) -> Iterator[PreparedCase]:
        """Yield the cases in the order of `indices`, a few in memory at a time; targets: as in [training].

        Raises CohortError for a case that cannot be learnt from.
        """

    def baselines(self, opening: Opening) -> Iterator[Predictions]:
        """Yield the validation and test predictions of every trivial rule, under the rule's name."""


def preparation_of(task: Task) -> TaskPreparation:
    """Import the object that the task's record names."""
    preparation: Any = imported(task.preparation, "preparation of a task", None)
    checked: TaskPreparation = preparation
    return checked


def prediction_rows(parts: Mapping[str, Samples], arm: str, fold: int, seed: int, **answers: Any) -> Predictions:
    """Make the rows of the public table for the cases of `parts` (split name → samples), one part after another.

    answers: the columns that differ between tasks: `truth`, `scores` and `classes`, or `metrics` by name, each for all
    cases in their order.
    """
    cases = [case for samples in parts.values() for case in samples.cases]
    n = len(cases)
    without_classes: dict[str, Any] = {"truth": np.full(n, -1), "scores": np.empty((n, 0))}
    return Predictions(
        case=np.array(cases),
        patient=np.array([patient for samples in parts.values() for patient in samples.patients]),
        split=np.concatenate([np.full(len(samples), part) for part, samples in parts.items()]),
        arm=np.full(n, arm),
        fold=np.full(n, fold),
        seed=np.full(n, seed),
        **without_classes | answers,
    )
