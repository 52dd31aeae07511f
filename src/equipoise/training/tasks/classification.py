"""Classification with a network: class logits of whole cases, of mirrored copies too where the protocol asks."""

import numpy as np
import torch
from torch import Tensor

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.runfolder.job import Job
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.panel import Fold
from equipoise.training.data.batches import batches, whole
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.learner.sliding_window import mirrored
from equipoise.training.preparation import prediction_rows
from equipoise.training.tasks.task_training import Planes, endpoint_of


def classify(learner: Learner, samples: Samples, job: Job) -> Tensor:
    """Logits of all samples in their order, (n, classes) float32 on the CPU, the model in evaluation mode."""
    learner.model.eval()
    answer = mirrored(learner.logits, job.inference.mirror_axes(job.spatial_dims))
    with torch.inference_mode():
        parts = [
            learner.ranks.answered(answer, whole(samples, indices).to(learner.device).images).cpu()
            for indices in batches(len(samples), job.training.batch_size)
        ]
    return torch.cat(parts)


def classify_one(learner: Learner, samples: Samples, job: Job) -> Tensor:
    """Logits of the first sample alone, as one case is answered in use; the model must be in evaluation mode."""
    answer = mirrored(learner.logits, job.inference.mirror_axes(job.spatial_dims))
    return answer(whole(samples, np.array([0])).to(learner.device).images)


def validation_metric(endpoint: Endpoint, logits: Tensor, targets: Tensor) -> float:
    """The endpoint of class logits (n, classes) against class indices (n,); nan where it is undefined.

    A validation part may lack a class, or an epoch may have predicted no finite number: the epoch then has no value
    and is not chosen for it.
    """
    n, classes = logits.shape
    names = np.arange(n)
    scores = logits.softmax(1).double().numpy()[None]
    fold = Fold(0, names.astype(str), names, targets.numpy(), scores, {})
    try:
        return endpoint.kind.value(endpoint, fold, 1 if classes == 2 else None)
    except PredictionError:
        return float("nan")


class _Training:
    """See `TaskTraining`."""

    def output_shape(self, job: Job, cases: int, spatial: tuple[int, ...]) -> tuple[int, ...]:  # noqa: ARG002
        return (cases, job.outputs)

    def answer_one(self, learner: Learner, samples: Samples, job: Job) -> object:
        return classify_one(learner, samples, job)

    def validate(self, learner: Learner, samples: Samples, job: Job) -> tuple[float, float]:
        logits = classify(learner, samples, job)
        targets = torch.from_numpy(np.array(samples.targets))
        return float(learner.plain_loss(logits, targets)), validation_metric(endpoint_of(job), logits, targets)

    def predict(self, learner: Learner, samples: Samples, job: Job, part: str) -> tuple[Predictions, Planes]:
        scores = classify(learner, samples, job).double().softmax(1).numpy()
        truth = np.asarray(samples.targets, dtype=np.int64)
        place = (job.arm.name, job.fold, job.seed)
        return prediction_rows({part: samples}, *place, truth=truth, scores=scores, classes=job.classes), {}

    def useless_loss(self, job: Job, train: Samples, validation: Samples) -> float | None:
        """That of always predicting the class shares, each class counted once more than it was met."""
        if job.training.loss != "cross-entropy":
            return None
        counts = np.bincount(np.asarray(train.targets), minlength=len(job.classes)) + 1.0
        return float(-np.log(counts / counts.sum())[np.asarray(validation.targets)].mean())


TRAINING = _Training()
