"""The interface of a task's training: work with a network, in the processes that hold torch."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.segmentation import metric_columns
from equipoise.lookup import imported
from equipoise.runfolder.job import Job
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.kinds import Endpoint
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner

Planes = dict[str, NDArray[np.uint8]]
"""Pictures for the report, written with the predictions, by name."""


class TaskTraining(Protocol):
    """One object per task, which its record names as "module:attribute"."""

    def output_shape(self, job: Job, cases: int, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the model's answer to `cases` images or patches of the sides `spatial`."""

    def answer_one(self, learner: Learner, samples: Samples, job: Job) -> object:
        """Predict the first case alone, as in clinical use, for the latency; the model is in evaluation mode."""

    def validate(self, learner: Learner, samples: Samples, job: Job) -> tuple[float, float]:
        """Return loss and primary endpoint of the validation cases; nan where the endpoint is not defined."""

    def predict(self, learner: Learner, samples: Samples, job: Job, part: str) -> tuple[Predictions, Planes]:
        """Return the rows of the public table for the cases of a part, and pictures for the report (may be empty)."""

    def useless_loss(self, job: Job, train: Samples, validation: Samples) -> float | None:
        """Return the validation loss of a predictor that ignores the image, or None where that is not known."""


def training_of(job: Job) -> TaskTraining:
    """Import the object that the record of the job's task names."""
    training: Any = imported(job.task_record.training, "training of a task", job.code)
    checked: TaskTraining = training
    return checked


def endpoint_of(job: Job) -> Endpoint:
    """Return the job's primary endpoint; refuses unknown names."""
    task = job.task_record
    custom = {endpoint.name: endpoint for endpoint in task.endpoints}
    classes = [str(index) for index in range(len(job.classes))] if task.has_labels else []
    columns = metric_columns(job.regions, job.own) if job.regions else task.columns
    return endpoint_named(job.primary, columns, classes, custom, folder=job.code, regions=job.regions)
