"""One step of every arm before anything is locked: what cannot run is told at once, and its cost is guessed."""

import math
import time
from typing import Any

import numpy as np

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.training.arm import code_hashes
from equipoise.training.augmentation import Augmentation
from equipoise.training.cost import PeakMemory
from equipoise.training.determinism import device, device_name, reproducible
from equipoise.training.forecast import Forecast
from equipoise.training.job import Job
from equipoise.training.loop import Learner, tensors, train_epoch
from equipoise.training.samples import Samples
from equipoise.training.train import build_learner


def _head(samples: Samples, n: int) -> Samples:
    return Samples(samples.images[:n], samples.targets[:n], samples.cases[:n], samples.patients[:n])


def preflight(first: tuple[list[Job], Samples]) -> dict[str, Any]:
    """Try one step of the first job of every arm on some prepared cases; nothing is kept.

    Returns what else belongs to the record of a trial: the device, and hashes of the user's own code.
    Raises ProtocolError, naming the arm, where it cannot be built, answers in another shape, or cannot learn.
    """
    jobs, samples = first
    for job in jobs:
        _try(job, samples)
    return {"device": device_name(), "code": code_hashes(jobs)}


def _try(job: Job, samples: Samples) -> None:
    two = _head(samples, 2)
    try:
        with reproducible(job.training.threads):
            learner = build_learner(job, device(), samples)
            _check_shape(job, learner, two)
            augmentation = Augmentation.from_settings(job.augmentation, job.spatial_dims)
            train_epoch(learner, two, 2, augmentation, (job.name, "preflight"))
    except EquipoiseError as error:
        raise ProtocolError(f"arm {job.arm.name!r}: {error}") from error
    except Exception as error:
        sentence = f"{type(error).__name__}: {error}".split("\n")[0]
        raise ProtocolError(
            f"arm {job.arm.name!r} cannot train on these images ({sentence}); mend its model"
        ) from error


def _check_shape(job: Job, learner: Learner, samples: Samples) -> None:
    images, _ = tensors(samples, np.arange(len(samples)), learner.device)
    learner.model.train()
    found = tuple(learner.logits(images).shape)
    wanted = (len(samples), len(job.classes), *(images.shape[2:] if job.task == "segmentation" else ()))
    if found != wanted:
        raise ProtocolError(f"its model answers with shape {found}, {job.task} of these images needs {wanted}")


def forecast(asked: tuple[Job, Samples, int]) -> Forecast:
    """Time of one job on so many training cases, from one timed batch after a warm-up, and the memory it reached."""
    job, samples, cases = asked
    batch = _head(samples, min(len(samples), job.training.batch_size))
    augmentation = Augmentation.from_settings(job.augmentation, job.spatial_dims)
    with reproducible(job.training.threads), PeakMemory() as memory:
        learner = build_learner(job, device(), samples)
        train_epoch(learner, batch, len(batch), augmentation, (job.name, "warm-up"))
        start = time.perf_counter()
        train_epoch(learner, batch, len(batch), augmentation, (job.name, "forecast"))
        seconds = time.perf_counter() - start
    steps = job.training.epochs * math.ceil(cases / job.training.batch_size)
    return Forecast(job.arm.name, seconds * steps, memory.peak_mb)
