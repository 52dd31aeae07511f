"""A trained detector's answer: a map of findings by segmentation, its candidates by their parts or peaks."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.candidates import Candidates, nested_candidates, peak_candidates
from equipoise.evaluation.matched_scans import MarkedScan
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.loop.epoch import Learner
from equipoise.training.tasks.marking import marked, most_suspicious
from equipoise.training.tasks.segmenting import segment


def detect(learner: Learner, samples: Samples, job: Job, split: str) -> Iterator[MarkedScan]:
    """Every case in order, its candidates matched with its findings on its own grid."""
    for index, found in enumerate(segment(learner, samples, job)):
        yield marked(samples, index, split, candidates_in(job, found[1], samples.grids[index].prepared_spacing_mm))


def candidates_in(job: Job, probability: NDArray[np.floating], spacing_mm: tuple[float, ...]) -> Candidates:
    """Candidates of one map (*spatial): the peaks of centres, or the parts of a mask that stand out."""
    threshold = job.inference.candidate_threshold
    if job.training.targets == "centres":
        return most_suspicious(peak_candidates(probability, spacing_mm, threshold, job.inference.apart_mm))
    return most_suspicious(nested_candidates(probability, spacing_mm, threshold))
