"""Search for near-duplicates: seconds and memory against the number of images (simulated scans with planted copies).

Run: python benchmarks/leakage.py [--up-to 20000]
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import resource
import time
from functools import partial

import numpy as np
from scipy import ndimage

from equipoise.cohorts.cohort import Case, Cohort, Image
from equipoise.cohorts.splits.leakage import find_leaks
from equipoise.cohorts.splits.split import Fold

SIZES = (1250, 2500, 5000, 10000, 20000, 50000, 100000)
COPIES = 100


def scan(seed: int, change: bool) -> Image:
    """A smooth random scan of 64 × 64 uint8; changed: turned by 90°, another window."""
    generator = np.random.default_rng(seed)
    coarse = ndimage.zoom(generator.standard_normal((8, 8)), 8, order=1)
    pixels = coarse + 0.4 * ndimage.gaussian_filter(generator.standard_normal((64, 64)), 1)
    pixels = np.rot90(pixels) * 0.7 + 1 if change else pixels
    return Image(np.uint8(np.clip(128 + 30 * pixels, 0, 255))[None], (1.0, 1.0))


def measured(n: int) -> tuple[float, float, float]:
    """Seconds, share of planted copies found, and the peak memory of the process in MB."""
    cases = [Case(f"{k}", f"{k}", partial(scan, k, False), 0) for k in range(n)]
    cases += [Case(f"copy {k}", f"copy {k}", partial(scan, k, True), 0) for k in range(COPIES)]
    cohort = Cohort("simulated", "classification", tuple(cases), ("scan",), ("grey",), 2)
    fold = Fold(np.arange(n), np.empty(0, np.int64), np.arange(n, n + COPIES))
    begin = time.perf_counter()
    found = {(leak.a, leak.b) for leak in find_leaks(cohort, fold)}
    seconds = time.perf_counter() - begin
    recall = float(np.mean([(f"{k}", f"copy {k}") in found for k in range(COPIES)]))
    return seconds, recall, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--up-to", type=int, default=10000)
    print("images  seconds  microseconds / (n log2 n)  copies found  peak MB")
    for n in (size for size in SIZES if size <= parser.parse_args().up_to):
        seconds, recall, memory = measured(n)
        print(f"{n:6d}  {seconds:7.1f}  {1e6 * seconds / (n * np.log2(n)):25.1f}  {recall:12.2f}  {memory:7.0f}")


if __name__ == "__main__":
    main()
