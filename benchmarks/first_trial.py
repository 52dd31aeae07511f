"""The floors of the first trial: help, cohort, demo. Prints seconds and MB; run it on an idle machine.

usage: python benchmarks/first_trial.py [--demo]
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path

EQUIPOISE = Path(sys.executable).with_name("equipoise")
READ = (
    "import time; start = time.perf_counter()\n"
    "from equipoise.cohorts.lidc.outlines import lidc_contours\n"
    "cohort = lidc_contours()\n"
    "images = [case.read() for case in cohort.cases]\n"
    "print(time.perf_counter() - start)"
)


def timed(*command: str | Path, **environment: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [str(part) for part in command], check=True, env=dict(os.environ, **environment), capture_output=True
    )
    return time.perf_counter() - start


def read(cache: str) -> float:
    result = subprocess.run(
        [sys.executable, "-c", READ],
        check=True,
        env=dict(os.environ, EQUIPOISE_CACHE=cache),
        capture_output=True,
        text=True,
    )
    return float(result.stdout)


def main() -> None:
    print(f"help            {min(timed(EQUIPOISE, '--help') for _ in range(5)):7.3f} s   (at most 0.3)")
    with tempfile.TemporaryDirectory() as cache:
        print(f"cohort, first   {read(cache):7.2f} s   (at most 10)")
        print(f"cohort, cached  {min(read(cache) for _ in range(3)):7.2f} s   (at most 1)")
    if "--demo" in sys.argv:
        with tempfile.TemporaryDirectory() as folder:
            seconds = timed(EQUIPOISE, "demo", "--out", Path(folder) / "demo", "--quiet")
        # the largest single process; two workers run beside the parent on two cores
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        print(f"demo            {seconds:7.0f} s   (at most 300)")
        print(f"largest process {largest:7.0f} MB")


if __name__ == "__main__":
    main()
