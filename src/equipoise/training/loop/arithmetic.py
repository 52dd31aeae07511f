"""Precision and compiling, where the protocol leaves them to this machine: measured once, for all arms.

Both alter numbers beyond rounding, so a choice holds for the whole trial and stands in its record: arms are never
compared across kinds of arithmetic, and a resumed trial goes on as it began.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from equipoise.runfolder.job import Job
from equipoise.training.augmentation import Augmentation
from equipoise.training.data.batches import Feed
from equipoise.training.data.samples import Samples
from equipoise.training.loop.determinism import device, reproducible
from equipoise.training.loop.epoch import train_epoch
from equipoise.training.loop.train import build_learner

WORTH = 0.9
"""The share of the plain way's time that another way may need at most: less is not worth other numbers."""
LONG_ENOUGH_SECONDS = 600.0
"""Jobs shorter than this are not compiled, nor is it tried: compiling takes a minute or more of every job."""
STEPS = 3


@dataclass(frozen=True)
class Way:
    """A kind of arithmetic."""

    precision: str
    compile: bool


@dataclass(frozen=True)
class Cost:
    """What a way costs an arm: seconds of an update of the weights, and of the first one beyond that."""

    update: float
    start: float


def settle(asked: tuple[list[Job], Samples, int]) -> dict[str, Any]:
    """Choose a way for jobs whose protocol says "auto", one job of every arm, with so many training cases.

    Returns `precision`, `compile`, and `measured`: by way and arm the seconds of an update, or why there are none.
    """
    jobs, samples, cases = asked
    training, measured = jobs[0].training, dict[str, dict[str, Any]]()
    chosen = Way("float32" if training.precision == "auto" else training.precision, training.compile is True)
    costs = _costs(jobs, samples, chosen, measured)
    if training.precision == "auto":
        other = Way("bfloat16", chosen.compile)
        there = _costs(jobs, samples, other, measured)
        if there is not None and (costs is None or _seconds(there, 1) < WORTH * _seconds(costs, 1)):
            chosen, costs = other, there
    updates = training.epochs * Feed.of(training, jobs[0].spatial_dims).steps(cases)
    if training.compile == "auto" and costs is not None:
        if updates * max(cost.update for cost in costs) < LONG_ENOUGH_SECONDS:
            measured["compiled"] = {job.arm.name: "training is too short for compiling to pay" for job in jobs}
        else:
            there = _costs(jobs, samples, Way(chosen.precision, True), measured)
            if there is not None and _seconds(there, updates) < WORTH * _seconds(costs, updates):
                chosen = replace(chosen, compile=True)
    return {"precision": chosen.precision, "compile": chosen.compile, "measured": measured}


def _seconds(costs: Sequence[Cost], updates: int) -> float:
    """Of one job of every arm; a single update is taken without its start."""
    return sum(updates * cost.update + (cost.start if updates > 1 else 0.0) for cost in costs)


def _costs(jobs: Sequence[Job], samples: Samples, way: Way, measured: dict[str, dict[str, Any]]) -> list[Cost] | None:
    """The costs of every arm, noted in `measured`; None where an arm cannot train that way."""
    noted = measured.setdefault(way.precision + (", compiled" if way.compile else ""), {})
    found = []
    for job in jobs:
        try:
            cost = _cost(job.settled(way.precision, way.compile), samples)
        except Exception as error:
            noted[job.arm.name] = f"{type(error).__name__}: {error}".split("\n")[0]
        else:
            noted[job.arm.name] = float(f"{cost.update:.3g}")
            found.append(cost)
    return found if len(found) == len(jobs) else None


def _cost(job: Job, samples: Samples) -> Cost:
    """Of one batch: the first update, then the fastest of some more."""
    training = job.training
    samples = samples.head(min(len(samples), training.batch_size))
    feed = Feed(training.batch_size, training.patch_of(job.spatial_dims), 1, training.foreground_patches)
    augmentation = Augmentation.from_settings(job.augmentation, job.spatial_dims)
    with reproducible(training.threads):
        learner, times = build_learner(job, device(), samples), []
        for step in range(1 + STEPS):
            start = time.perf_counter()
            train_epoch(learner, samples, feed, augmentation, (job.name, "measured", step))
            times.append(time.perf_counter() - start)
    update = min(times[1:])
    return Cost(update * math.ceil(training.batch_size / len(samples)), max(0.0, times[0] - update))
