"""What the validation cases say after an epoch, with the same estimators that will judge the test cases."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.errors import PredictionError
from equipoise.evaluation.candidate_table import FINDINGS
from equipoise.evaluation.matched_scans import MarkedScan, marks_of
from equipoise.evaluation.regions import labelled_only, region_masks
from equipoise.evaluation.segmentation import Metric, metric_columns, one_metric
from equipoise.lookup import imported
from equipoise.runfolder.job import Job
from equipoise.statistics.detection import METRICS
from equipoise.statistics.endpoints import FAILURE_DICE, Endpoint, Kind, endpoint_named
from equipoise.statistics.influence import influence
from equipoise.statistics.own import function_of, is_own, per_case_functions, pooled, stated
from equipoise.statistics.panel import Fold
from equipoise.training.data.samples import Samples
from equipoise.training.loop.epoch import Learner
from equipoise.training.tasks.classifying import classify
from equipoise.training.tasks.detecting import candidates_in
from equipoise.training.tasks.marking import marked
from equipoise.training.tasks.segmenting import decided, segment

SMALLEST_PROBABILITY = 1e-7  # the resolution of float32 near one


def endpoint_of(job: Job) -> Endpoint:
    """The job's primary endpoint; unknown names are refused."""
    if job.task == "classification":
        if is_own(job.primary):
            return pooled(job.primary, job.code)
        return endpoint_named(job.primary, classes=[str(index) for index in range(len(job.classes))])
    if job.task == "detection":
        return endpoint_named(job.primary, [FINDINGS])
    custom = {}
    if is_own(job.primary):
        said = stated(imported(function_of(job.primary, job.regions), "endpoint", job.code))
        custom[job.primary] = Endpoint(job.primary, Kind.MEAN, **said)
    return endpoint_named(job.primary, metric_columns(job.regions, job.own), custom=custom)


def validate(learner: Learner, samples: Samples, job: Job) -> tuple[float, float]:
    """Loss and primary endpoint of the validation cases."""
    if job.task == "classification":
        logits = classify(learner, samples, job)
        targets = torch.from_numpy(np.array(samples.targets))
        return float(learner.plain_loss(logits, targets)), validation_metric(endpoint_of(job), logits, targets)
    return (_validate_findings if job.task == "detection" else _validate_masks)(learner, samples, job)


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
        if endpoint.function is not None:
            return endpoint.function(targets.numpy(), scores[0])
        value = influence(fold, endpoint, 1 if classes == 2 else None, n).value[0]
    except PredictionError:
        return float("nan")
    return float(value)


def _validate_masks(learner: Learner, samples: Samples, job: Job) -> tuple[float, float]:
    """Means over cases on the prepared grid, where the truth is the prepared mask: cheaper than the way back."""
    found_here, own = [], per_case_functions(job.own, job.code)
    here = range(learner.ranks.rank, len(samples), learner.ranks.count)
    for index, found in zip(here, segment(learner, samples, job, here), strict=True):
        target = np.array(samples.targets[index])
        loss = _loss(learner, job, found, target)
        hard = target if target.ndim == job.spatial_dims else target.argmax(axis=0)
        spacing = samples.grids[index].prepared_spacing_mm
        answer = labelled_only(decided(job, found), hard)
        value = _case_value(job.primary, region_masks(hard, job.regions), answer, spacing, own)
        found_here.append((loss, value))
    losses, values = zip(*learner.ranks.gathered(found_here), strict=True)
    return float(np.mean(losses)), float(np.mean(values))


def _validate_findings(learner: Learner, samples: Samples, job: Job) -> tuple[float, float]:
    """Mean loss over cases, and the endpoint of all of them on their own grids; nan where there is nothing to find."""
    found_here: list[tuple[float, MarkedScan]] = []
    here = range(learner.ranks.rank, len(samples), learner.ranks.count)
    for index, found in zip(here, segment(learner, samples, job, here), strict=True):
        candidates = candidates_in(job, found[1], samples.grids[index].prepared_spacing_mm)
        loss = _loss(learner, job, found, np.array(samples.targets[index]))
        found_here.append((loss, marked(samples, index, "validation", candidates)))
    losses, scans = zip(*learner.ranks.gathered(found_here), strict=True)
    try:
        return float(np.mean(losses)), METRICS[job.primary](marks_of(scans))
    except PredictionError:
        return float(np.mean(losses)), float("nan")


def _loss(learner: Learner, job: Job, found: NDArray[np.float32], target: NDArray[np.generic]) -> float:
    """The loss of one case from its probabilities."""
    # the loss takes logits, and these have the same probabilities
    clipped = torch.from_numpy(found).clamp(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    logits = clipped.logit() if job.training.targets == "regions" else clipped.log()
    wanted = torch.from_numpy(target)
    wanted = wanted if wanted.is_floating_point() else wanted.long()
    return float(learner.plain_loss(logits[None], wanted[None]))


def _case_value(
    primary: str,
    truth: dict[str, np.ndarray],
    said: dict[str, np.ndarray],
    mm: Sequence[float],
    own: Mapping[str, Metric],
) -> float:
    """The primary endpoint of one case; a failure rate is the share of cases with hardly any overlap."""
    fails = primary.startswith("failure_rate")
    value = one_metric(primary.replace("failure_rate", "dice", 1) if fails else primary, truth, said, tuple(mm), own)
    return float(value < FAILURE_DICE) if fails else value
