"""Detection with a network: segment a map of findings, and take candidates from its parts or peaks."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.candidates import Candidates, most_suspicious, nested_candidates, peak_candidates
from equipoise.evaluation.matched_scans import MarkedScan, detection_predictions, marks_of
from equipoise.evaluation.predictions import Predictions
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.preparation.detection import marked
from equipoise.training.tasks.detection_errors import error_planes
from equipoise.training.tasks.segmentation import case_loss, segment, segment_one
from equipoise.training.tasks.task_training import Planes, endpoint_of


def detect(learner: Learner, samples: Samples, job: Job, split: str) -> Iterator[MarkedScan]:
    """Yield every case in order, with its candidates matched to its findings on its own grid."""
    for index, probability in enumerate(segment(learner, samples, job)):
        yield marked(
            samples, index, split, candidates_in(job, probability[1], samples.grids[index].prepared_spacing_mm)
        )


def candidates_in(job: Job, probability: NDArray[np.floating], spacing_mm: tuple[float, ...]) -> Candidates:
    """Extract the candidates of one map (*spatial): the peaks of a centre map, or the distinct parts of a mask."""
    threshold = job.inference.candidate_threshold
    if job.training.targets == "centres":
        return most_suspicious(peak_candidates(probability, spacing_mm, threshold, job.inference.apart_mm))
    return most_suspicious(nested_candidates(probability, spacing_mm, threshold))


def _validate_findings(learner: Learner, samples: Samples, job: Job) -> tuple[float, float]:
    """Return the mean loss over cases, and the endpoint on their own grids; nan without a relevant finding."""
    values_here: list[tuple[float, MarkedScan]] = []
    # Every process validates each count-th case, and all gather the values: they must choose the same epoch.
    here = range(learner.ranks.rank, len(samples), learner.ranks.count)
    for index, probability in zip(here, segment(learner, samples, job, here), strict=True):
        candidates = candidates_in(job, probability[1], samples.grids[index].prepared_spacing_mm)
        loss = case_loss(learner, job, probability, np.array(samples.targets[index]))
        values_here.append((loss, marked(samples, index, "validation", candidates)))
    losses, scans = zip(*learner.ranks.gathered(values_here), strict=True)
    try:
        return float(np.mean(losses)), float(endpoint_of(job).needed_function()(marks_of(scans)))
    except PredictionError:
        return float(np.mean(losses)), float("nan")


class _Training:
    """See `TaskTraining`."""

    def output_shape(self, job: Job, cases: int, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """See `TaskTraining.output_shape`."""
        return (cases, job.outputs, *spatial)

    def answer_one(self, learner: Learner, samples: Samples, job: Job) -> object:
        """See `TaskTraining.answer_one`."""
        return segment_one(learner, np.asarray(samples.images[0]), job)

    def validate(self, learner: Learner, samples: Samples, job: Job) -> tuple[float, float]:
        """See `TaskTraining.validate`."""
        return _validate_findings(learner, samples, job)

    def predict(self, learner: Learner, samples: Samples, job: Job, part: str) -> tuple[Predictions, Planes]:
        """Return the counts and candidates of every case, and planes that show errors."""
        scans = list(detect(learner, samples, job, part))
        return detection_predictions(scans, job.arm.name, job.fold, job.seed), error_planes(scans, samples)

    def useless_loss(self, job: Job, train: Samples, validation: Samples) -> float | None:  # noqa: ARG002
        """See `TaskTraining.useless_loss`."""
        return None


TRAINING = _Training()
