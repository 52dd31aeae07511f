"""A trained segmenter's answer for whole cases: of single forward passes, or of sliding windows."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.runfolder.job import Job
from equipoise.training.data.batches import Indices, batches, whole
from equipoise.training.data.samples import Samples
from equipoise.training.inference.sliding_window import Answer, mirrored, slide
from equipoise.training.loop.epoch import Learner

Array = NDArray[np.float32]


def segment(learner: Learner, samples: Samples, job: Job, chosen: Sequence[int] | None = None) -> Iterator[Array]:
    """Probabilities (outputs, *prepared grid) of every case in order: of classes, or of regions by themselves.

    chosen: the cases that are asked for; None means all.
    """
    cases = np.arange(len(samples)) if chosen is None else np.array(chosen, dtype=np.int64)
    learner.model.eval()
    patch = job.training.patch_of(job.spatial_dims)
    if patch is None and samples.uniform and len(cases):
        return _whole_batches(learner, samples, job, cases)
    return (segment_one(learner, samples.images[index], job) for index in cases)


def segment_one(learner: Learner, image: Array, job: Job) -> Array:
    """Probabilities (outputs, *spatial) of one image (channel, *spatial); the model must be in evaluation mode."""
    patch = job.training.patch_of(job.spatial_dims)
    finish = partial(probabilities, job)
    if patch is None:
        with torch.inference_mode():
            logits = _answer(learner, job)(torch.from_numpy(np.array(image[None])).to(learner.device))
            found: Array = finish(logits)[0].cpu().numpy()
            return found
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
    """Of logits (n, outputs, *spatial): over classes, or of each region."""
    return logits.sigmoid() if job.training.targets == "regions" else logits.softmax(1)


def decided(job: Job, found: Array) -> dict[str, NDArray[np.bool_]]:
    """A mask per region from the probabilities of one case: likeliest class, or regions of at least one half."""
    if job.training.targets == "regions":
        return {name: found[index] >= 0.5 for index, name in enumerate(job.regions)}
    labels = found.argmax(axis=0)
    return {name: np.isin(labels, members) for name, members in job.regions.items()}
