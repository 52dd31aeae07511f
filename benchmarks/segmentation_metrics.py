"""All endpoints of a BraTS case beside MONAI's HD95 and surface Dice of the same masks, in seconds.

    python benchmarks/segmentation_metrics.py ../shared/data [--rounds 5]

Three real pairs of three regions (240×240×155). Ours gives Dice, IoU, HD95, mean surface distance, surface Dice, volume
error and both kinds of lesion-wise scores; MONAI HD95 and surface Dice alone. Rounds alternate, and the fastest of each
counts. Also counted: values that are not finite, on the pairs and on pairs with an empty mask. The last line is MONAI's
time over ours, the smallest of the pairs.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from equipoise.cohorts.formats.nifti import read_nifti
from equipoise.evaluation.segmentation import region_metrics

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

PAIRS = ("UNet_sample_1", "SegResNet_sample_3", "SwinUNETR_sample_1")
REGIONS = ("ET", "TC", "WT")
SPACING = (1.0, 1.0, 1.0)


def pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction (region, z, y, x)."""
    files = [folder / "seg_pred_pairs_brats23" / f"{name}_{kind}.nii.gz" for kind in ("label", "pred")]
    truth, said = (np.ascontiguousarray(np.moveaxis(read_nifti(file).array > 0, -1, 0)) for file in files)
    return truth, said


def ours(truth: np.ndarray, said: np.ndarray) -> list[float]:
    regions = [dict(zip(REGIONS, masks, strict=True)) for masks in (truth, said)]
    return list(region_metrics(regions[0], regions[1], SPACING).values())


def monai(truth: np.ndarray, said: np.ndarray) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors = [torch.from_numpy(masks)[None] for masks in (said, truth)]
        hd95 = compute_hausdorff_distance(*tensors, include_background=True, percentile=95, spacing=SPACING)
        surface = compute_surface_dice(*tensors, [1.0] * len(truth), include_background=True, spacing=SPACING)
    return [*hd95.flatten().tolist(), *surface.flatten().tolist()]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ratios, broken = [], [0, 0]
    for name in PAIRS:
        truth, said = pair(arguments.data, name)
        best = [float("inf")] * 2
        for _ in range(arguments.rounds):
            works = (lambda: ours(truth, said), lambda: monai(truth, said))  # noqa: B023
            best = [min(old, seconds(work)) for old, work in zip(best, works, strict=True)]
        ratios.append(best[1] / best[0])
        print(f"{name:20} ours {best[0]:6.3f} s  monai {best[1]:6.3f} s  ratio {ratios[-1]:.2f}")
        for one in ((truth, said), (truth, 0 * said), (0 * truth, said), (0 * truth, 0 * said)):
            for index, metrics in enumerate((ours, monai)):
                broken[index] += int(np.sum(~np.isfinite(metrics(*one))))
    print(f"values not finite: ours {broken[0]}, MONAI {broken[1]}")
    print(f"ratio {min(ratios):.2f}")


if __name__ == "__main__":
    main()
