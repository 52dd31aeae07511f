"""One step of every arm before anything is locked: what cannot run is told at once, and its cost is guessed."""

import time
from itertools import pairwise
from typing import Any

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.runfolder.job import Job
from equipoise.training.augmentation import Augmentation
from equipoise.training.data.batches import Batch, Feed
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.loop.arm import code_hashes
from equipoise.training.loop.cost import PeakMemory
from equipoise.training.loop.determinism import device, device_name, generator, reproducible
from equipoise.training.loop.epoch import ENOUGH, judged, train_epoch
from equipoise.training.loop.forecast import Forecast
from equipoise.training.loop.initial_weights import pretrained_hashes
from equipoise.training.loop.train import build_learner
from equipoise.training.tasks import training_of

VALIDATED = {2: 8, 3: 1}
"""Cases whose validation is timed, by dimensions: a volume takes many patches by itself."""


def preflight(first: tuple[list[Job], Samples]) -> dict[str, Any]:
    """Try one step of the first job of every arm on some prepared cases; nothing is kept.

    Returns what else belongs to the record of a trial: the device, and hashes of the user's own code and of the weights
    that arms start from.
    Raises ProtocolError, naming the arm, where it cannot be built, answers in another shape, or cannot learn.
    """
    jobs, samples = first
    for job in jobs:
        _try(job, samples)
    return {"device": device_name(), "code": code_hashes(jobs), "pretrained": pretrained_hashes(jobs)}


def _try(job: Job, samples: Samples) -> None:
    two = samples.head(min(2, len(samples)))
    try:
        with reproducible(job.training.threads):
            if not samples.uniform and job.training.patch is None:
                raise ProtocolError("the images differ in shape; set training.patch, or preprocessing.size")
            learner = build_learner(job, device(), samples)
            feed = _feed(job, 2)
            _check_shape(job, learner, next(feed.epoch(two, generator(job.name))))
            augmentation = Augmentation.from_settings(job.augmentation, job.spatial_dims)
            train_epoch(learner, two, feed, augmentation, (job.name, "preflight"))
    except EquipoiseError as error:
        raise ProtocolError(f"arm {job.arm.name!r}: {error}") from error
    except Exception as error:
        sentence = f"{type(error).__name__}: {error}".split("\n")[0]
        raise ProtocolError(
            f"arm {job.arm.name!r} cannot train on these images ({sentence}); mend its model"
        ) from error


def _feed(job: Job, batch_size: int) -> Feed:
    """One batch of the job's own patches, or of whole cases."""
    training = job.training
    return Feed(batch_size, training.patch_of(job.spatial_dims), 1, training.foreground_patches)


def _check_shape(job: Job, learner: Learner, batch: Batch) -> None:
    learner.model.train()
    found = tuple(learner.logits(batch.to(learner.device).images).shape)
    wanted = training_of(job).output_shape(job, len(batch.indices), tuple(batch.images.shape[2:]))
    if found != wanted:
        raise ProtocolError(
            f"its model answers with shape {found}, {job.task_record.name} of these images needs {wanted}"
        )


def forecast(asked: tuple[Job, Samples, int, int]) -> Forecast:
    """Time of one job with so many training and validation cases, and the memory it reached.

    From one timed batch after a warm-up, the statistics of normalisation that averaged weights need, and the answer to
    a few cases as validation asks for it.
    """
    job, samples, cases, held_out = asked
    feed = _feed(job, job.training.batch_size)
    augmentation = Augmentation.from_settings(job.augmentation, job.spatial_dims)
    few = samples.head(VALIDATED[job.spatial_dims])
    with reproducible(job.training.threads), PeakMemory() as memory:
        learner = build_learner(job, device(), samples)
        train_epoch(learner, samples, feed, augmentation, (job.name, "warm-up"))
        times = [time.perf_counter()]
        train_epoch(learner, samples, feed, augmentation, (job.name, "forecast"))
        times.append(time.perf_counter())
        with judged(learner, samples, feed):
            times.append(time.perf_counter())
            training_of(job).validate(learner, few, job)
            times.append(time.perf_counter())
    training, preparing, validating = (after - before for before, after in pairwise(times))
    patches = cases * Feed.of(job.training, job.spatial_dims).per_case
    epoch = (training * patches + preparing * min(patches, ENOUGH)) / len(samples) + validating * held_out / len(few)
    return Forecast(job.arm.name, epoch * job.training.epochs, memory.peak_mb)
