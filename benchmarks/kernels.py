"""What each C kernel gains in a whole training step: the time without it ÷ the time with it.

    python benchmarks/kernels.py [--kernels normalization resampling optimizer] [--rounds 15] [--steps 1]

A step is that of a trial: batch, augmentation (rotation, flips, zoom), forward, backward, update. Both ways run in one
process with the environment of a trial's workers, on one thread, one after the other in every round, with turns in who
goes first; processor time counts. A line shows the median ratio of the rounds and its quartiles. Without
its kernel a part takes the path that it takes where there is no C compiler; the optimizer takes `foreach`, the faster
of its two other paths.
"""

import sys

if sys.path[0].endswith("benchmarks"):
    sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from equipoise.engines.local import KEPT_MEMORY
from equipoise.kernels import resample
from equipoise.models import normalization
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.augmentation import Augmentation
from equipoise.training.data.batches import Feed
from equipoise.training.data.samples import Samples
from equipoise.training.loop.determinism import reproducible
from equipoise.training.loop.epoch import Learner, train_epoch
from equipoise.training.loop.train import build_learner

CLASSES = ("background", "foreground")
AUGMENTATION = {
    2: {"rotate_degrees": 15, "flip": ["horizontal", "vertical"], "scale": [0.9, 1.1]},
    3: {"rotate_degrees": 15, "flip": ["horizontal"], "scale": [0.9, 1.1]},
}


@dataclass(frozen=True)
class Workload:
    """One network on images of one shape, trained in one precision."""

    name: str
    task: str
    shape: tuple[int, ...]
    model: dict[str, Any]
    precision: str = "float32"
    batch: int = 32
    optimizer: dict[str, Any] = field(default_factory=lambda: {"name": "adam", "lr": 1e-3})


def _unet(name: str, shape: tuple[int, ...], precision: str, batch: int, preset: str) -> Workload:
    return Workload(name, "segmentation", shape, {"name": "unet", "preset": preset}, precision, batch)


def _demo(network: str, **optimizer: Any) -> Workload:
    settings = {"optimizer": optimizer} if optimizer else {}
    name = f"{network} small 48 px float32" + (f" {optimizer['rule']}" if optimizer else "")
    return Workload(name, "classification", (48, 48), {"name": network, "preset": "small"}, **settings)


def _densenet121(precision: str) -> Workload:
    name = f"densenet 121 64 px {precision}"
    return Workload(name, "classification", (64, 64), {"name": "densenet", "preset": "121"}, precision, 8)


DEMO = [_demo(network) for network in ("unet", "deeplab", "densenet")]
INSTANCE = [
    _unet(f"unet instance norm {sides} {precision}", shape, precision, batch, preset)
    for sides, shape, batch, preset in (("64 px", (64, 64), 8, "basic"), ("32³", (32, 32, 32), 2, "small"))
    for precision in ("float32", "bfloat16")
]
WORKLOADS = {
    "normalization": [*DEMO, *INSTANCE, _densenet121("float32"), _densenet121("bfloat16")],
    "resampling": [*DEMO, *INSTANCE],
    "optimizer": [
        *(_demo("densenet", name="adaptive_momentum", rule=rule) for rule in ("paper", "agreement", "adam")),
        *(_demo("unet", name="adaptive_momentum", rule=rule) for rule in ("paper", "agreement")),
    ],
}


def samples_of(workload: Workload, count: int) -> Samples:
    """Balls of two kinds in noise, with their class or mask."""
    generator = np.random.default_rng(0)
    images = generator.normal(0, 0.3, (count, 1, *workload.shape)).astype(np.float32)
    kinds = np.arange(count) % 2
    centre = np.array(workload.shape).reshape(-1, *(1 for _ in workload.shape)) / 2
    distance = np.linalg.norm(np.indices(workload.shape) - centre, axis=0)
    radius = (workload.shape[0] / 8 * (1 + kinds)).reshape(-1, *(1 for _ in workload.shape))
    masks = distance[None] < radius
    images[:, 0] += masks
    names = tuple(f"case-{i}" for i in range(count))
    return Samples(images, kinds if workload.task == "classification" else masks.astype(np.int64), names, names)


def epoch_of(workload: Workload, steps: int) -> tuple[Callable[[], float], Learner]:
    """A function that trains for `steps` steps, and the learner that it trains."""
    settings = {"batch_size": workload.batch, "threads": 1, "epochs": 1, "precision": workload.precision}
    training = TrainingSection.model_validate(settings)
    arm = Arm.model_validate({"name": "ours", "model": workload.model, "optimizer": workload.optimizer})
    samples, dims, nowhere = (
        samples_of(workload, workload.batch * steps),
        len(workload.shape),
        Path(tempfile.gettempdir()),
    )
    augment = AUGMENTATION[dims]
    job = Job(arm, 0, 0, nowhere, nowhere, nowhere, workload.task, CLASSES, 1, dims, training, augment, "auc")
    learner = build_learner(job, torch.device("cpu"), samples)
    augmentation, feed = Augmentation.from_settings(augment, dims), Feed.of(training, dims)

    def epoch() -> float:
        with reproducible(1):
            return train_epoch(learner, samples, feed, augmentation, ("benchmark",))

    return epoch, learner


def without(kernel: str, learner: Learner) -> AbstractContextManager[Any]:
    """A block in which one kernel is not used."""
    if kernel == "normalization":
        return mock.patch.object(normalization, "fits", return_value=False)
    if kernel == "resampling":
        return mock.patch.object(resample, "_kernel", return_value=None)
    return _path(learner, "foreach")


@contextmanager
def _path(learner: Learner, path: str) -> Iterator[None]:
    for group in learner.optimizer.param_groups:
        group["path"] = path
    yield
    for group in learner.optimizer.param_groups:
        group["path"] = "auto"


def seconds_of(epoch: Callable[[], float]) -> float:
    start = time.process_time()
    epoch()
    return time.process_time() - start


def gain(workload: Workload, kernel: str, rounds: int, steps: int) -> tuple[list[float], float]:
    """Time without ÷ with the kernel, one a round, and the milliseconds of a step with it."""
    epoch, learner = epoch_of(workload, steps)

    def bare() -> float:
        with without(kernel, learner):
            return seconds_of(epoch)

    bare(), seconds_of(epoch)
    ratios, times = [], []
    for number in range(rounds):
        if number % 2:
            slow, fast = bare(), seconds_of(epoch)
        else:
            fast, slow = seconds_of(epoch), bare()
        ratios.append(slow / fast)
        times.append(fast)
    return sorted(ratios), 1000 * min(times) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=1, help="steps in a round")
    arguments = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in KEPT_MEMORY.items()):  # glibc reads it at its start alone
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEPT_MEMORY | {"OMP_NUM_THREADS": "1"})
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f}")
    for kernel in arguments.kernels:
        for workload in WORKLOADS[kernel]:
            ratios, step = gain(workload, kernel, arguments.rounds, arguments.steps)
            spread = "{:.2f} to {:.2f}".format(*np.quantile(ratios, (0.25, 0.75)))
            print(
                f"{kernel:14} {workload.name:38} {np.median(ratios):.3f} ({spread}), {step:.0f} ms a step", flush=True
            )


if __name__ == "__main__":
    main()
