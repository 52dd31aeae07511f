"""Seconds and memory to read and prepare one BraTS case (four modalities and the mask), beside MONAI doing the same.

    python benchmarks/preparing.py ../shared/data

Both: RAS+ orientation, z-score inside the foreground of each modality, crop to the foreground, 1.5 mm spacing (images
linear; masks class by class here, nearest there), 96³ voxels. Each runs in processes of its own, in turns, one thread;
ours also checks every file against its hash.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import json
import os
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

TURNS, ROUNDS = 5, 3
SPACING, SIZE = 1.5, 96


def ours(data: Path) -> Callable[[], object]:
    from equipoise.cohorts.layouts.brats import brats
    from equipoise.preprocessing import Pipeline

    case = next(case for case in brats(data / "brats").cases if case.id == "BraTS2021_00006")
    table = {"scale": "zscore", "crop": {"margin_mm": 0}, "resample": SPACING, "size": SIZE}
    pipeline = Pipeline.from_settings(table)
    return lambda: pipeline.apply(case.read())


def monai(data: Path) -> Callable[[], object]:
    from monai import transforms as t

    folder = data / "brats" / "BraTS2021_00006"
    files = {name: str(next(folder.glob(f"*_{name}.nii.gz"))) for name in ("t1", "t1ce", "t2", "flair", "seg")}
    images = ["t1", "t1ce", "t2", "flair"]
    steps = t.Compose(
        [
            t.LoadImaged([*images, "seg"], image_only=True, ensure_channel_first=True),
            t.ConcatItemsd(images, "image"),
            t.DeleteItemsd(images),
            t.Orientationd(["image", "seg"], "RAS", labels=None),
            t.NormalizeIntensityd("image", nonzero=True, channel_wise=True),
            t.CropForegroundd(["image", "seg"], "image", select_fn=lambda x: x != 0, allow_smaller=True),
            t.Spacingd(["image", "seg"], (SPACING,) * 3, mode=("bilinear", "nearest")),
            t.ResizeWithPadOrCropd(["image", "seg"], (SIZE,) * 3),
        ]
    )
    return lambda: steps(dict(files))


def one(side: str, data: Path) -> None:
    work = {"ours": ours, "monai": monai}[side](data)
    work()
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter(), time.process_time()
        work()
        took.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    wall, cpu = np.median(took, axis=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mb": peak}))


def main(data: Path) -> None:
    environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    seen: dict[str, list[dict[str, float]]] = {"ours": [], "monai": []}
    for _ in range(TURNS):
        for side, rows in seen.items():
            command = [sys.executable, __file__, str(data), side]
            out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            rows.append(json.loads(out.splitlines()[-1]))
    for side, rows in seen.items():
        wall, cpu, peak = (np.median([row[key] for row in rows]) for key in ("wall", "cpu", "peak_mb"))
        print(f"{side:6} {wall:7.3f} s wall, {cpu:7.3f} s CPU, {peak:6.0f} MB at most in its process")
    pairs = [theirs["cpu"] / mine["cpu"] for mine, theirs in zip(seen["ours"], seen["monai"], strict=True)]
    print(f"ratio {np.median(pairs):.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        one(sys.argv[2], Path(sys.argv[1]))
    else:
        main(Path(sys.argv[1]))
