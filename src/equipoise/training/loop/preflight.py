"""Try one step of every arm before the trial is locked, to report what cannot run and to estimate the cost."""

import time
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import torch

from equipoise.errors import ProtocolError
from equipoise.optimizers import schedule
from equipoise.runfolder.job import Job
from equipoise.runfolder.trained_seeds import ARM_DEFAULTS
from equipoise.training.augmentation import Augmentation
from equipoise.training.data.batches import Batch, Feed
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.loop.answer_scale import squashed_by
from equipoise.training.loop.arm import code_hashes, defaults_of, optimizer_over
from equipoise.training.loop.batch_independence import REMEDY, batch_dependence
from equipoise.training.loop.blame import named_arm
from equipoise.training.loop.cost import PeakMemory
from equipoise.training.loop.determinism import device, device_name, environment, generator, reproducible
from equipoise.training.loop.diagnostics import Observation
from equipoise.training.loop.epoch import ENOUGH, evaluation_weights, train_epoch
from equipoise.training.loop.forecast import Forecast
from equipoise.training.loop.initial_weights import pretrained_hashes
from equipoise.training.loop.optimizer_trial import optimizer_fault
from equipoise.training.loop.packages import packages_of
from equipoise.training.loop.train import build_learner
from equipoise.training.tasks import training_of

VALIDATED = {2: 8, 3: 1}
"""Number of cases whose validation is timed, by spatial dimensions: a single volume takes many patches."""
TIMED = 2
"""Passes over the prepared cases that are timed."""


def preflight(first: tuple[list[Job], Samples]) -> dict[str, Any]:
    """Try one step of the first job of every arm on some prepared cases, and keep no result.

    Returns facts for the trial's record: the device, hashes of the user's own code and of pretrained weights, the
    versions of the packages behind the arms, the gradients that each arm took for an update, and the default settings
    of its model and optimizer.
    Raises ProtocolError, naming the arm, where it cannot be built, answers in another shape, or cannot learn.
    """
    jobs, samples = first
    packages, evaluations = dict[str, str](), dict[str, float]()
    for job in jobs:
        packages |= _try(job, samples, evaluations)
    defaults = {job.arm.name: defaults_of(job) for job in jobs}
    return facts_of(jobs) | {"packages": packages, "gradient_evaluations": evaluations, ARM_DEFAULTS: defaults}


def facts_of(jobs: list[Job]) -> dict[str, Any]:
    """Return the facts for the trial's record; see `preflight`."""
    facts = {"device": device_name(), "environment": environment(jobs[0].training.threads)}
    return facts | {"code": code_hashes(jobs), "pretrained": pretrained_hashes(jobs)}


def _try(job: Job, samples: Samples, evaluations: dict[str, float]) -> dict[str, str]:
    """Try one job; return the packages behind it with their versions, and enter the gradients that its step took."""
    # Two cases, because batch normalisation cannot train on one.
    two = samples.head(min(2, len(samples)))
    what = named_arm(job.arm.name, "cannot train on these images", "correct its model")
    with what, reproducible(job.training.threads):
        if not samples.uniform and job.training.patch is None:
            raise ProtocolError("the images differ in shape; set training.patch, or preprocessing.size")
        learner = build_learner(job, device(), samples)
        feed = _feed(job, 2)
        _check_shape(job, learner, next(feed.epoch(two, generator(job.name))))
        augmentation = Augmentation.from_settings(job.augmentation, job.spatial_dims)
        seen = Observation(0, feed.steps(len(two)))
        train_epoch(learner, two, feed, augmentation, (job.name, "preflight"), seen)
        evaluations[job.arm.name] = seen.evaluations / seen.updates
        _check_optimizer(job, learner)
        _check_independence(job, learner, next(feed.epoch(two, generator(job.name))))
        _check_scale(job, learner, next(feed.epoch(two, generator(job.name))))
        return packages_of(job, learner.model, learner.optimizer)


def _feed(job: Job, batch_size: int) -> Feed:
    """Make a feed of the job's patches, one per case, or of whole cases."""
    training = job.training
    return Feed(batch_size, training.patch_of(job.spatial_dims), 1, training.foreground_patches)


def _check_shape(job: Job, learner: Learner, batch: Batch) -> None:
    learner.model.train()
    answered = tuple(learner.logits(batch.to(learner.device).images).shape)
    needed = training_of(job).output_shape(job, len(batch.indices), tuple(batch.images.shape[2:]))
    if answered != needed:
        raise ProtocolError(
            f"its model returns shape {answered}, but {job.task_record.name} of these images needs {needed}"
        )


def _check_optimizer(job: Job, learner: Learner) -> None:
    """Raise ProtocolError where the optimizer leaves parameters alone, or could not go on from a checkpoint."""
    rates = job.training.schedule
    trainable = {name: value for name, value in learner.model.named_parameters() if value.requires_grad}
    fault = optimizer_fault(
        lambda parameters: optimizer_over(job, parameters),
        trainable,
        lambda optimizer, steps: schedule(rates.name, optimizer, steps, **rates.settings),
    )
    if fault is not None:
        raise ProtocolError(
            f"its optimizer {job.arm.optimizer.name!r} {fault} (equipoise.testing.check_optimizer tries it alone)"
        )


def _check_independence(job: Job, learner: Learner, batch: Batch) -> None:
    """Raise ProtocolError for a model whose answer to an image depends on the other images of the batch."""
    images = batch.to(learner.device).images
    fault = batch_dependence(learner, images, compiled=job.training.compile is True)
    if fault is not None:
        raise ProtocolError(f"its model {job.arm.model.name!r} {fault}; {REMEDY}")


def _check_scale(job: Job, learner: Learner, batch: Batch) -> None:
    """Raise ProtocolError for a model that answers with probabilities; spoils its weights."""
    if ":" in job.task:
        return  # the answers of a task of the user's own may have any scale
    learner.model.eval()
    # Not compiled: a second graph, of evaluation, may take a minute.
    eager = torch.compiler.set_stance("force_eager") if job.training.compile is True else nullcontext()
    with eager:
        kind = squashed_by(learner.model, learner.logits, batch.to(learner.device).images)
    if kind is not None:
        raise ProtocolError(
            f"its model {job.arm.model.name!r} returns probabilities: all its answers lie in [0, 1], as after {kind}; "
            "return logits, for the loss and the predictions apply it (equipoise.testing.check_model tries it alone)"
        )


def forecast(arguments: tuple[Job, Samples, int, int]) -> Forecast:
    """Estimate the time of one job, and measure the memory that it reached.

    arguments: the job, prepared cases, and the numbers of training and validation cases. Timed are a few updates after
    a warm-up, the recalibration of normalisation that averaged weights need, and the validation of a few cases. By
    processor time: on a machine that other work keeps busy, the clock would foretell that work and not the trial.
    """
    job, samples, cases, held_out = arguments
    feed = _feed(job, job.training.batch_size)
    augmentation = Augmentation.from_settings(job.augmentation, job.spatial_dims)
    few = samples.head(VALIDATED[job.spatial_dims])
    with reproducible(job.training.threads), PeakMemory() as memory:
        learner = build_learner(job, device(), samples)
        # The first pass pays for kernels that are chosen or compiled once, and would be multiplied by every epoch.
        seen = Observation(0, feed.steps(len(samples)))
        train_epoch(learner, samples, feed, augmentation, (job.name, "warm-up"), seen)
        times = [_seconds(job)]
        for repeat in range(TIMED):
            train_epoch(learner, samples, feed, augmentation, (job.name, "forecast", repeat))
        times.append(_seconds(job))
        if learner.average is not None:
            learner.average.end_epoch(learner.model, job.training.epochs)  # so that an average of epochs is there
        with evaluation_weights(learner, samples, feed):
            times.append(_seconds(job))
            training_of(job).validate(learner, few, job)
            times.append(_seconds(job))
    training, preparing, validating = (after - before for before, after in pairwise(times))
    # Statistics are recomputed in the epochs that have an average: in all, or in the last ones.
    averaged = (job.training.average_last or job.training.epochs) / job.training.epochs
    patch, answer = training / TIMED / len(samples), validating / len(few)
    prepared = averaged * preparing / len(samples)
    patches = cases * Feed.of(job.training, job.spatial_dims).per_case
    epoch = patch * patches + prepared * min(patches, ENOUGH) + answer * held_out
    seconds, evaluations = epoch * job.training.epochs, seen.evaluations / seen.updates
    return Forecast(job.arm.name, seconds, memory.peak_mb, patch, prepared, answer, evaluations)


def _seconds(job: Job) -> float:
    """Return the processor time of this process per thread of the job; on a graphics card the clock."""
    if device().type == "cuda":
        torch.cuda.synchronize()  # calls return before the work is done
        return time.perf_counter()
    return time.process_time() / job.training.threads
