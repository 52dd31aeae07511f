"""Segmentation with a network: predict whole cases in single forward passes or by sliding windows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.evaluation.display_planes import packed, shown_slice
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.regions import labelled_only, region_masks
from equipoise.evaluation.segmentation import Metric, metric_columns, one_metric, region_metrics
from equipoise.runfolder.job import Job
from equipoise.statistics.endpoints import of_case
from equipoise.statistics.own import per_case_functions
from equipoise.training.data.batches import Indices, batches, whole
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.learner.sliding_window import Answer, mirrored, slide
from equipoise.training.preparation import prediction_rows
from equipoise.training.tasks.task_training import Planes

Array = NDArray[np.float32]
SMALLEST_PROBABILITY = 1e-7  # the resolution of float32 near one


def segment(learner: Learner, samples: Samples, job: Job, chosen: Sequence[int] | None = None) -> Iterator[Array]:
    """Yield probabilities (outputs, *prepared grid) of every case in order: over classes, or of each region.

    chosen: the indices of the cases to predict; None means all.
    """
    cases = np.arange(len(samples)) if chosen is None else np.array(chosen, dtype=np.int64)
    learner.model.eval()
    patch = job.training.patch_of(job.spatial_dims)
    if patch is None and samples.uniform and len(cases):
        return _whole_batches(learner, samples, job, cases)
    return (segment_one(learner, samples.images[index], job) for index in cases)


def segment_one(learner: Learner, image: Array, job: Job) -> Array:
    """Return probabilities (outputs, *spatial) of one image (channel, *spatial); needs the model in evaluation mode."""
    patch = job.training.patch_of(job.spatial_dims)
    finish = partial(probabilities, job)
    if patch is None:
        with torch.inference_mode():
            logits = _answer(learner, job)(torch.from_numpy(np.array(image[None])).to(learner.device))
            answer: Array = finish(logits)[0].cpu().numpy()
            return answer
    axes = job.inference.mirror_axes(job.spatial_dims)
    return slide(
        learner.logits,
        image,
        patch,
        job.outputs,
        device=learner.device,
        overlap=job.inference.overlap,
        batch=job.training.batch_size,
        mirror_axes=axes,
        finish=finish,
    )


def _whole_batches(learner: Learner, samples: Samples, job: Job, cases: Indices) -> Iterator[Array]:
    answer = _answer(learner, job)
    for indices in batches(len(cases), job.training.batch_size, torch.from_numpy(cases)):
        with torch.inference_mode():
            images = whole(samples, indices).to(learner.device).images
            yield from probabilities(job, answer(images)).cpu().numpy()


def _answer(learner: Learner, job: Job) -> Answer:
    return mirrored(learner.logits, job.inference.mirror_axes(job.spatial_dims))


def probabilities(job: Job, logits: Tensor) -> Tensor:
    """Convert logits (n, outputs, *spatial) to probabilities: over classes, or of each region."""
    return logits.sigmoid() if job.training.targets == "regions" else logits.softmax(1)


def to_masks(job: Job, probability: Array) -> dict[str, NDArray[np.bool_]]:
    """Make a mask per region from one case's probabilities: the likeliest class, or regions of at least one half."""
    if job.training.targets == "regions":
        return {name: probability[index] >= 0.5 for index, name in enumerate(job.regions)}
    labels = probability.argmax(axis=0)
    return {name: np.isin(labels, members) for name, members in job.regions.items()}


def case_loss(learner: Learner, job: Job, probability: NDArray[np.float32], target: NDArray[np.generic]) -> float:
    """Compute the loss of one case from its probabilities."""
    # The loss takes logits, and these have the same probabilities. The blended probabilities are scored and not the
    # blended logits, because `finish` has already replaced them slab by slab to save memory.
    clipped = torch.from_numpy(probability).clamp(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    logits = clipped.logit() if job.training.targets == "regions" else clipped.log()
    expected = torch.from_numpy(target)
    expected = expected if expected.is_floating_point() else expected.long()
    return float(learner.plain_loss(logits[None], expected[None]))


def case_value(
    primary: str,
    truth: dict[str, NDArray[np.bool_]],
    answer: dict[str, NDArray[np.bool_]],
    spacing_mm: Sequence[float],
    own: Mapping[str, Metric],
) -> float:
    """Compute the primary endpoint of one case; a failure rate is the share of cases below the endpoint's threshold."""
    endpoint = of_case(primary, truth)
    column = endpoint.column(metric_columns(truth, own)) or primary
    value = one_metric(column, truth, answer, tuple(spacing_mm), own)
    value = abs(value) if endpoint.distance_from_zero else value
    return value if column == primary else float(value < endpoint.share_below)


def _validate_masks(learner: Learner, samples: Samples, job: Job) -> tuple[float, float]:
    """Return the mean loss and endpoint over cases on the prepared grid, against the prepared mask."""
    # Not on the cases' own grids as in the test: undoing the preparation of every case in every epoch costs too much.
    values_here, own = [], per_case_functions(job.own, job.code)
    here = range(learner.ranks.rank, len(samples), learner.ranks.count)
    for index, probability in zip(here, segment(learner, samples, job, here), strict=True):
        target = np.array(samples.targets[index])
        loss = case_loss(learner, job, probability, target)
        hard = target if target.ndim == job.spatial_dims else target.argmax(axis=0)
        spacing = samples.grids[index].prepared_spacing_mm
        answer = labelled_only(to_masks(job, probability), hard)
        value = case_value(job.primary, region_masks(hard, job.regions), answer, spacing, own)
        values_here.append((loss, value))
    losses, values = zip(*learner.ranks.gathered(values_here), strict=True)
    return float(np.mean(losses)), float(np.mean(values))


def _truth(samples: Samples, index: int) -> NDArray[np.uint8]:
    if samples.truths is None:
        raise ValueError("samples of a segmenter carry the masks they are judged by")
    return np.asarray(samples.truths[index])


def judged(answers: Iterable[Array], samples: Samples, job: Job, part: str) -> tuple[Predictions, Planes]:
    """Return the metrics of every case on its own grid, and the plane of each answer that the report shows.

    answers: probabilities (outputs, *prepared grid) of every case, in order, whoever gave them.
    """
    rows, slices, own = [], {}, per_case_functions(job.own, job.code)
    for index, probability in enumerate(answers):
        truth, grid = _truth(samples, index), samples.grids[index]
        masks = labelled_only({name: grid.back(mask) for name, mask in to_masks(job, probability).items()}, truth)
        rows.append(region_metrics(region_masks(truth, job.regions), masks, grid.spacing_mm, own=own))
        slices[samples.cases[index]] = packed([mask[shown_slice(truth)] for mask in masks.values()])
    metrics = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return prediction_rows({part: samples}, job.arm.name, job.fold, job.seed, metrics=metrics), slices


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
        return _validate_masks(learner, samples, job)

    def predict(self, learner: Learner, samples: Samples, job: Job, part: str) -> tuple[Predictions, Planes]:
        """See `TaskTraining.predict` and `judged`."""
        return judged(segment(learner, samples, job), samples, job, part)

    def useless_loss(self, job: Job, train: Samples, validation: Samples) -> float | None:  # noqa: ARG002
        """See `TaskTraining.useless_loss`."""
        return None


TRAINING = _Training()
