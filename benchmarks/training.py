"""Training, samples per second, beside MONAI's standard pipeline, in one run.

    python benchmarks/training.py [--sizes 64 128] [--volumes 48] [--threads 2] [--rounds 3] [--steps 4]
                                  [--precision bfloat16]

DenseNet121 (two classes) and the U-Net of MONAI's BasicUNet (two classes a pixel), one channel, batches of 32
pictures or 4 volumes, Adam, and the same augmentation: rotation, flips, zoom. Ours is the training loop of a trial.
MONAI's is what its tutorials write: dictionary transforms, DataLoader, float32, its own network; the better of
loading in the process and of one worker a core counts. Every way has a process of its own, ours with the environment
of a trial's workers. Rounds alternate between the ways, so that a busy machine slows all; the fastest round of each
counts for its speed, and the ratios are medians of ratios within a round. "of peak" is the share of this machine's
own fastest convolution (64 channels, window 3, 64 x 64, batches of 32; bf16 or float32, whichever is faster) that the
network's convolutions and products reach. The last line is the smallest ratio.

With --threads 1 processor time is counted in place of wall time, and MONAI has no workers: a ratio of one core to one
core, which holds on a busy machine too.
"""

import sys

if sys.path[0].endswith("benchmarks"):
    sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from equipoise.engines.local import KEPT_MEMORY
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.augmentation import Augmentation
from equipoise.training.data.batches import Feed
from equipoise.training.data.samples import Samples
from equipoise.training.loop.determinism import reproducible
from equipoise.training.loop.epoch import train_epoch
from equipoise.training.loop.train import build_learner

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import monai.transforms as mt
    from monai.data import DataLoader, Dataset
    from monai.networks import nets

BATCH, CLASSES = {2: 32, 3: 4}, ("background", "foreground")
FLIPS = ("horizontal", "vertical", "depth")
TASKS = {"DenseNet121": "classification", "U-Net": "segmentation"}
MODELS = {"DenseNet121": {"name": "densenet", "preset": "121"}, "U-Net": {"name": "unet", "preset": "basic"}}
Round = Callable[[], float]


def samples_of(task: str, dims: int, size: int, count: int) -> Samples:
    """Discs (balls) of two kinds in noise, with their class or mask."""
    generator = np.random.default_rng(0)
    images = generator.normal(0, 0.3, (count, 1, *(size,) * dims)).astype(np.float32)
    kinds = np.arange(count) % 2
    grid = np.sqrt(sum((axis - size / 2) ** 2 for axis in np.indices((size,) * dims)))
    masks = grid[None] < (size / 8 * (1 + kinds)).reshape(-1, *(1,) * dims)
    images[:, 0] += masks
    names = tuple(f"case-{i}" for i in range(count))
    return Samples(images, kinds if task == "classification" else masks.astype(np.int64), names, names)


def ours(name: str, dims: int, samples: Samples, training: TrainingSection) -> Round:
    """One epoch a call."""
    settings = {"rotate_degrees": 15, "flip": list(FLIPS[:dims]), "scale": [0.9, 1.1]}
    arm = Arm.model_validate({"name": "ours", "model": MODELS[name], "optimizer": {"name": "adam", "lr": 1e-3}})
    nowhere = Path(tempfile.gettempdir())
    job = Job(arm, 0, 0, nowhere, nowhere, nowhere, TASKS[name], CLASSES, 1, dims, training, settings, "auc")
    learner = build_learner(job, torch.device("cpu"), samples)
    augmentation, feed = Augmentation.from_settings(settings, dims), Feed.of(training, dims)

    def epoch() -> float:
        with reproducible(training.threads):  # as a trial trains; MONAI's pipeline does without
            return train_epoch(learner, samples, feed, augmentation, ("benchmark",))

    return epoch


def transforms(task: str, dims: int) -> Any:
    linear, ranges = (
        ("bilinear", "trilinear")[dims - 2],
        {f"range_{axis}": np.pi / 12 for axis in "xyz"[: 1 if dims == 2 else 3]},
    )
    keys = ["image"] if task == "classification" else ["image", "mask"]
    modes = ["bilinear"] if task == "classification" else ["bilinear", "nearest"]
    zoom = [linear] if task == "classification" else [linear, "nearest-exact"]
    return mt.Compose(
        [
            mt.RandRotated(keys, prob=1.0, mode=modes, padding_mode="border", **ranges),
            *(mt.RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(dims)),
            mt.RandZoomd(keys, prob=1.0, min_zoom=0.9, max_zoom=1.1, mode=zoom),
        ]
    )


def monai(name: str, dims: int, samples: Samples, workers: int) -> Round:
    """One epoch a call."""
    task, network = TASKS[name], nets.DenseNet121 if name == "DenseNet121" else nets.BasicUNet
    model = network(spatial_dims=dims, in_channels=1, out_channels=2).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    key = "label" if task == "classification" else "mask"
    targets = samples.targets if task == "classification" else samples.targets[:, None].astype(np.float32)
    rows = [{"image": image, key: target} for image, target in zip(samples.images, targets, strict=True)]
    kept = {"persistent_workers": True} if workers else {}
    loader = DataLoader(
        Dataset(rows, transforms(task, dims)), batch_size=BATCH[dims], shuffle=True, num_workers=workers, **kept
    )

    def epoch() -> float:
        loss = torch.zeros(())
        for batch in loader:
            optimizer.zero_grad()
            target = batch[key].long()
            loss = functional.cross_entropy(model(batch["image"]), target[:, 0] if task == "segmentation" else target)
            loss.backward()
            optimizer.step()
        return loss.item()

    return epoch


def seconds_of(work: Round) -> float:
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    work()
    return clock() - start


def convolution_peak() -> float:
    """Floating-point operations per second of the fastest kind of convolution."""
    found = 0.0
    for dtype in (torch.float32, torch.bfloat16):
        images = torch.randn(32, 64, 64, 64).to(dtype, memory_format=torch.channels_last)
        kernel = torch.randn(64, 64, 3, 3).to(dtype, memory_format=torch.channels_last)
        operations = 2 * images.numel() * 64 * 9
        times = [seconds_of(lambda i=images, k=kernel: functional.conv2d(i, k, padding=1).sum()) for _ in range(8)]
        found = max(found, operations / min(times))
    return found


def operations_per_sample(name: str, dims: int, size: int) -> float:
    """Of convolutions and products, forward and backward."""
    network: nn.Module = (nets.DenseNet121 if name == "DenseNet121" else nets.BasicUNet)(
        spatial_dims=dims, in_channels=1, out_channels=2
    )
    images: Tensor = torch.randn(2, 1, *(size,) * dims)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return counter.get_total_flops() / 2


def serve(build: Callable[..., Round], arguments: tuple[Any, ...], threads: int, pipe: Connection) -> None:
    """Run a round whenever the pipe says so, and answer with its seconds."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    work = build(*arguments)
    work()
    while True:
        pipe.recv()
        pipe.send(seconds_of(work))


class Way:
    """A process that trains when it is asked to."""

    def __init__(
        self, build: Callable[..., Round], arguments: tuple[Any, ...], threads: int, **environment: str
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(build, arguments, threads, theirs))
        before = dict(os.environ)
        os.environ.update(environment, OMP_NUM_THREADS=str(threads))
        self.process.start()
        os.environ.clear()
        os.environ.update(before)

    def seconds(self) -> float:
        self.pipe.send(True)
        return self.pipe.recv()

    def end(self) -> None:
        self.process.terminate()
        self.process.join()


def compare(ways: dict[str, Way], rounds: int, count: int) -> tuple[dict[str, float], float]:
    """Samples per second of every way, and the median ratio of ours to the best of the others."""
    try:
        found = [{name: way.seconds() for name, way in ways.items()} for _ in range(rounds)]
    finally:
        for way in ways.values():
            way.end()
    ratio = min(np.median([row[name] / row["ours"] for row in found]) for name in ways if name != "ours")
    return {name: count / min(row[name] for row in found) for name in ways}, float(ratio)


def measured(arguments: argparse.Namespace) -> Iterator[float]:
    """Print one line a network and size; the ratios."""
    threads, workers = arguments.threads, [0] if arguments.threads == 1 else [0, arguments.threads]
    peak = convolution_peak()
    print(f"convolution peak {peak / 1e9:.0f} GFLOP/s, {threads} threads")
    kinds = [(2, size) for size in arguments.sizes] + [(3, size) for size in arguments.volumes]
    for dims, size in kinds:
        settings = {"batch_size": BATCH[dims], "threads": threads, "epochs": 1, "precision": arguments.precision}
        training = TrainingSection.model_validate(settings)
        for name, task in TASKS.items():
            samples = samples_of(task, dims, size, BATCH[dims] * arguments.steps)
            ways = {"ours": Way(ours, (name, dims, samples, training), threads, **KEPT_MEMORY)}
            ways |= {f"MONAI, {n} workers": Way(monai, (name, dims, samples, n), threads) for n in workers}
            speeds, ratio = compare(ways, arguments.rounds, len(samples))
            share = speeds["ours"] * operations_per_sample(name, dims, size) / peak
            line = ", ".join(f"{way} {speed:.1f}/s" for way, speed in speeds.items())
            shape = f"{size} px" if dims == 2 else f"{size}³"
            print(f"{name:12} {shape:6} {line}; ours {100 * share:.0f} % of peak; ratio {ratio:.2f}", flush=True)
            yield ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--volumes", type=int, nargs="*", default=[48])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="batches in a round")
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    load = os.getloadavg()[0]
    print(f"load {load:.1f}{' (loaded)' if load > 0.5 else ''}")
    torch.set_num_threads(arguments.threads)
    print(f"ratio {min(measured(arguments)):.2f}")


if __name__ == "__main__":
    main()
