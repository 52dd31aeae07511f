"""Classification with a network: class logits of whole cases, averaged over mirrored copies where configured."""

import hashlib

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
    """Return logits of all samples in their order, (n, classes) float32 on the CPU; sets evaluation mode."""
    learner.model.eval()
    answer = mirrored(learner.logits, job.inference.mirror_axes(job.spatial_dims))
    order = asked_order(samples, job)
    with torch.inference_mode():
        parts = [
            learner.ranks.answered(answer, whole(samples, indices).to(learner.device).images).cpu()
            for indices in batches(len(samples), job.training.batch_size, order)
        ]
    logits = torch.cat(parts)
    return logits if order is None else logits[order.argsort()]


def asked_order(samples: Samples, job: Job) -> Tensor | None:
    """Return the order in which a network of the user's own answers, (n,) int64; None for the samples' own order.

    A cohort sorted by class fills batches with one class: what looks across a batch must learn nothing of that order.
    """
    # Networks of this package answer each image alone, and their batches, and so their bits, stay as they are.
    if not any(":" in one.arm.model.name for one in (job, *job.members)):
        return None
    return torch.tensor(sorted(range(len(samples)), key=lambda i: hashlib.sha256(samples.cases[i].encode()).digest()))


def classify_one(learner: Learner, samples: Samples, job: Job) -> Tensor:
    """Return logits of the first sample alone, as in clinical use; the model must be in evaluation mode."""
    answer = mirrored(learner.logits, job.inference.mirror_axes(job.spatial_dims))
    return answer(whole(samples, np.array([0])).to(learner.device).images)


def validation_metric(endpoint: Endpoint, logits: Tensor, targets: Tensor) -> float:
    """Compute the endpoint of class logits (n, classes) against class indices (n,); nan where it is undefined.

    It is undefined where the validation part lacks a class or the predictions are not finite; such an epoch is not
    chosen.
    """
    n, classes = logits.shape
    # Every case counts as its own patient here: the point value needs no clustering, only its interval would.
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
        """See `TaskTraining.output_shape`."""
        return (cases, job.outputs)

    def answer_one(self, learner: Learner, samples: Samples, job: Job) -> object:
        """See `TaskTraining.answer_one`."""
        return classify_one(learner, samples, job)

    def validate(self, learner: Learner, samples: Samples, job: Job) -> tuple[float, float]:
        """See `TaskTraining.validate`."""
        logits = classify(learner, samples, job)
        targets = torch.from_numpy(np.array(samples.targets))
        return float(learner.plain_loss(logits, targets)), validation_metric(endpoint_of(job), logits, targets)

    def predict(self, learner: Learner, samples: Samples, job: Job, part: str) -> tuple[Predictions, Planes]:
        """See `TaskTraining.predict`."""
        scores = classify(learner, samples, job).double().softmax(1).numpy()
        truth = np.asarray(samples.targets, dtype=np.int64)
        place = (job.arm.name, job.fold, job.seed)
        return prediction_rows({part: samples}, *place, truth=truth, scores=scores, classes=job.classes), {}

    def useless_loss(self, job: Job, train: Samples, validation: Samples) -> float | None:
        """Return the loss of always predicting the class shares, with one added to the count of each class."""
        if job.training.loss != "cross-entropy":
            return None
        # One added (Laplace), or a class that only validation holds would make this loss infinite.
        counts = np.bincount(np.asarray(train.targets), minlength=len(job.classes)) + 1.0
        return float(-np.log(counts / counts.sum())[np.asarray(validation.targets)].mean())


TRAINING = _Training()
