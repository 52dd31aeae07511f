"""Choose precision and compilation by measurement, where the protocol says "auto": once, for all arms.

Both change results beyond rounding, so the choice holds for the whole trial and is recorded: arms are never compared
across kinds of arithmetic, and a resumed trial keeps the one it began with.
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
from equipoise.training.loop.arm import import_shared_code
from equipoise.training.loop.determinism import device, reproducible
from equipoise.training.loop.epoch import train_epoch
from equipoise.training.loop.train import build_learner
from equipoise.training.loop.written_errors import in_writing

WORTH = 0.9
"""Largest share of the plain arithmetic's time at which another is chosen: a smaller gain is not worth the change."""
LONG_ENOUGH_SECONDS = 600.0
"""Jobs shorter than this are not compiled, without a measurement: compiling takes a minute or more per job."""
STEPS = 3


@dataclass(frozen=True)
class Way:
    """A kind of arithmetic: precision, and whether the model is compiled."""

    precision: str
    compile: bool


@dataclass(frozen=True)
class Cost:
    """Costs of an arm: seconds per update of the weights, and the additional seconds of the first update."""

    update: float
    start: float


def settle(arguments: tuple[list[Job], Samples, int]) -> dict[str, Any]:
    """Choose the arithmetic for jobs whose protocol says "auto".

    arguments: one job of every arm, prepared cases for the measurement, and the number of training cases.
    Returns `precision`, `compile`, and `measured`: seconds per update by arithmetic and arm, or why there are none.
    """
    jobs, samples, cases = arguments
    for job in jobs:
        import_shared_code(job)
    training, measured = jobs[0].training, dict[str, dict[str, Any]]()
    chosen = Way("float32" if training.precision == "auto" else training.precision, training.compile is True)
    costs = _costs(jobs, samples, chosen, measured)
    if training.precision == "auto":
        other = Way("bfloat16", chosen.compile)
        there = _costs(jobs, samples, other, measured)
        # bfloat16 also wins where an arm cannot train in float32 at all, as when it does not fit into memory.
        if there is not None and (costs is None or _seconds(there, 1) < WORTH * _seconds(costs, 1)):
            chosen, costs = other, there
    updates = training.epochs * Feed.of(training, jobs[0].spatial_dims).steps(cases)
    if training.compile == "auto" and costs is not None:
        # The slowest arm decides, because all arms share one arithmetic.
        if updates * max(cost.update for cost in costs) < LONG_ENOUGH_SECONDS:
            measured["compiled"] = {job.arm.name: "training is too short for compiling to save time" for job in jobs}
        else:
            there = _costs(jobs, samples, Way(chosen.precision, True), measured)
            if there is not None and _seconds(there, updates) < WORTH * _seconds(costs, updates):
                chosen = replace(chosen, compile=True)
    return {"precision": chosen.precision, "compile": chosen.compile, "measured": measured}


def _seconds(costs: Sequence[Cost], updates: int) -> float:
    """Sum the seconds of one job of every arm; a single update is taken without the cost of the first one."""
    return sum(updates * cost.update + (cost.start if updates > 1 else 0.0) for cost in costs)


def _costs(jobs: Sequence[Job], samples: Samples, way: Way, measured: dict[str, dict[str, Any]]) -> list[Cost] | None:
    """Measure the costs of every arm and note them in `measured`; None where an arm cannot train in this way."""
    noted = measured.setdefault(way.precision + (", compiled" if way.compile else ""), {})
    costs = []
    for job in jobs:
        try:
            cost = _cost(job.settled(way.precision, way.compile), samples)
        # Any exception: a user's own model may fail in bfloat16 or under the compiler with an error of any kind.
        except Exception as error:
            noted[job.arm.name] = in_writing(error, job)
        else:
            noted[job.arm.name] = float(f"{cost.update:.3g}")
            costs.append(cost)
    return costs if len(costs) == len(jobs) else None


def _cost(job: Job, samples: Samples) -> Cost:
    """Measure the first update of one batch, then the fastest of `STEPS` more."""
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
    # The minimum and not the mean: other processes can only make an update slower.
    update = min(times[1:])
    return Cost(update * math.ceil(training.batch_size / len(samples)), max(0.0, times[0] - update))
