"""Samples per second of batched augmentation beside MONAI's dictionary transforms doing the same steps, in one run.

    python benchmarks/augmentation.py [--threads 2] [--rounds 5] [--seconds 1]

Two tables, each for 64-pixel images (batches of 32) and 96³ volumes (batches of 4), one channel: rotation, flips and
zoom; and those with every further step that MONAI has too. MONAI is given its better way of three: a loop in this
process, a DataLoader with one single-threaded worker a core, and (rotation and zoom alone) one affine transform in
place of two resamplings. Rounds alternate between the ways, so that a busy machine slows all; the medians are printed,
and the ratios are medians of ratios within a round. The last line is the smallest ratio of the first table.

With --threads 1 processor time is counted in place of wall time, and MONAI has no workers: a ratio of one core to one
core, which holds on a busy machine too.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equipoise.training.augmentation import Augmentation, apply, draw

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import monai.transforms as mt
    from monai.data import DataLoader, Dataset

SHAPES = {"2D 64": (32, 1, 64, 64), "3D 96": (4, 1, 96, 96, 96)}
AXES = {2: ["horizontal", "vertical"], 3: ["horizontal", "vertical", "depth"]}
ANGLE = np.pi / 12


def ours_settings(d: int, full: bool) -> dict[str, Any]:
    motions = {"rotate_degrees": 15, "flip": AXES[d], "scale": [0.9, 1.1]}
    further = {
        "elastic": 0.05, "bias_field": 0.1, "contrast": [0.75, 1.25], "brightness": 0.3, "gamma": [0.7, 1.5],
        "blur": 1.0, "noise": 0.1, "cutout": 0.3,
    }  # fmt: skip
    return motions | (further if full else {})


def flips(d: int) -> list[Any]:
    return [mt.RandFlipd("image", prob=0.5, spatial_axis=axis) for axis in range(d)]


def separate(d: int) -> list[Any]:
    """Rotation and zoom as two transforms, as MONAI's tutorials write them."""
    ranges = {f"range_{axis}": ANGLE for axis in "xyz"[: 1 if d == 2 else 3]}
    mode = "bilinear" if d == 2 else "trilinear"
    rotate = mt.RandRotated("image", prob=1.0, padding_mode="border", **ranges)
    return [rotate, *flips(d), mt.RandZoomd("image", prob=1.0, min_zoom=0.9, max_zoom=1.1, mode=mode)]


def joined(d: int) -> list[Any]:
    """Rotation and zoom in one resampling."""
    angles = (ANGLE,) * (1 if d == 2 else 3)
    affine = mt.RandAffined("image", prob=1.0, rotate_range=angles, scale_range=(0.1,) * d, padding_mode="border")
    return [affine, *flips(d)]


def further(d: int, side: int) -> list[Any]:
    """The other steps; elastic deformation with its own resampling, as MONAI has it."""
    elastic = (
        mt.Rand2DElasticd("image", spacing=(side // 4,) * 2, magnitude_range=(0, 0.05 * side), prob=1.0)
        if d == 2
        else mt.Rand3DElasticd("image", sigma_range=(8, 8), magnitude_range=(0, 100), prob=1.0)
    )
    box = int(0.3 * side)
    return [
        elastic,
        mt.RandBiasFieldd("image", degree=3, coeff_range=(0.0, 0.1), prob=1.0),
        mt.RandScaleIntensityFixedMeand("image", factors=0.25, prob=1.0),
        mt.RandStdShiftIntensityd("image", factors=0.3, prob=1.0),
        mt.RandAdjustContrastd("image", gamma=(0.7, 1.5), prob=1.0),
        mt.RandGaussianSmoothd("image", **{f"sigma_{axis}": (0.01, 1.0) for axis in "xyz"}, prob=1.0),
        mt.RandGaussianNoised("image", std=0.1, prob=1.0),
        mt.RandCoarseDropoutd("image", holes=1, spatial_size=(1,) * d, max_spatial_size=(box,) * d, prob=1.0),
    ]


def ours(images: Tensor, full: bool) -> Callable[[], int]:
    d = images.ndim - 2
    plan, generator = Augmentation.from_settings(ours_settings(d, full), d), torch.Generator().manual_seed(0)

    def batch() -> int:
        apply(images, None, draw(plan, len(images), d, generator))
        return len(images)

    return batch


def in_process(images: Tensor, transforms: list[Any]) -> Callable[[], int]:
    compose = mt.Compose(transforms)
    return lambda: len([compose({"image": image}) for image in images])


def with_workers(images: Tensor, transforms: list[Any], workers: int) -> Callable[[], int]:
    """Batches of the loader, one a call; it is started once and never runs dry."""
    data = Dataset([{"image": image} for image in images] * 500, mt.Compose(transforms))
    loader = DataLoader(data, batch_size=len(images), num_workers=workers)

    def batches() -> Iterator[Any]:
        while True:
            yield from loader

    stream = batches()
    return lambda: len(next(stream)["image"])


def rate(batch: Callable[[], int], seconds: float) -> float:
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start, done = clock(), 0
    while done == 0 or clock() < start + seconds:
        done += batch()
    return done / (clock() - start)


def compare(ways: dict[str, Callable[[], int]], rounds: int, seconds: float) -> float:
    """Print the medians; the median of ours over the best of the others."""
    for batch in ways.values():
        batch()
    found = [{name: rate(batch, seconds) for name, batch in ways.items()} for _ in range(rounds)]
    for name in ways:
        print(f"    {name:32} {np.median([row[name] for row in found]):9.1f}/s")
    others = [name for name in ways if name != "ours"]
    ratios = {name: np.median([row["ours"] / row[name] for row in found]) for name in others}
    print("    ours over " + ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items()))
    return min(ratios.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)
    load = os.getloadavg()[0]
    print(f"load {load:.1f}{' (loaded)' if load > 0.5 else ''}, {arguments.threads} threads")
    smallest = float("inf")
    for full in (False, True):
        print("every step MONAI has too" if full else "rotation, flips, zoom")
        for name, shape in SHAPES.items():
            images, d = torch.rand(shape, generator=torch.Generator().manual_seed(0)), len(shape) - 2
            lists = {"": separate(d)} if full else {"": separate(d), " affine": joined(d)}
            ways = {"ours": ours(images, full)}
            for suffix, transforms in lists.items():
                steps = transforms + (further(d, shape[-1]) if full else [])
                ways[f"MONAI{suffix}, loop"] = in_process(images, steps)
                if arguments.threads > 1:
                    ways[f"MONAI{suffix}, {arguments.threads} workers"] = with_workers(images, steps, arguments.threads)
            print(f"  {name}")
            ratio = compare(ways, arguments.rounds, arguments.seconds)
            smallest = smallest if full else min(smallest, ratio)
    print(f"ratio {smallest:.2f}")


if __name__ == "__main__":
    main()
