"""Large trials: seconds and memory of checking many cases, and of running and reporting many jobs.

Data are made up, commands are real. Run:
python benchmarks/sizes.py cases 100000 --folder /tmp/sizes   # the first check and the second, a process each
python benchmarks/sizes.py jobs 1000 --folder /tmp/sizes      # a trial of so many tiny jobs, and its report again
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import json
import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

SIDE = 64
PROTOCOL = """
[trial]
name = "{name}"
[cohort]
source = "{source}"
{cohort}
[split]
fractions = [0.8, 0.1, 0.1]
[training]
epochs = 1
batch_size = 16
seeds = {seeds}
threads = 1
{arms}"""
ARM = '[[arms]]\nname = "{name}"\nmodel = {{name = "unet", preset = "tiny"}}\n'


def pictures(folder: Path, cases: int) -> None:
    """Write a table and a PNG file of 64 × 64 for every case, four cases a patient, a thousand files a folder."""
    rng = np.random.default_rng(0)
    rows = ["case,patient,image,label"]
    for start in range(0, cases, 1000):
        place = folder / "images" / f"{start:07d}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = rng.standard_normal((1000, SIDE // 4, SIDE // 4))
        fine = ndimage.zoom(coarse, (1, 4, 4), order=1) + 0.4 * rng.standard_normal((1000, SIDE, SIDE))
        for index, values in enumerate(np.uint8(np.clip(128 + 30 * fine, 0, 255))[: cases - start]):
            number = start + index
            file = place / f"{number:07d}.png"
            Image.fromarray(values).save(file)
            rows.append(f"c{number:07d},p{number // 4:07d},{file.relative_to(folder)},{'ab'[number // 4 % 2]}")
    (folder / "cohort.csv").write_text("\n".join(rows) + "\n")


def timed(label: str, folder: Path, *command: str) -> tuple[float, str]:
    """Run `equipoise` in a process of its own, and say its seconds and its peak memory, children apart."""
    environment = dict(os.environ, EQUIPOISE_CACHE=str(folder / "cache"))
    before = time.perf_counter()
    text = [sys.executable, "-P", "-c", _MEASURED, *command]
    ended = subprocess.run(text, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - before
    peak = ended.stderr.rsplit("peak ", 1)[-1].strip()
    print(f"{label}: {seconds:.1f} s, peak {peak}, exit code {ended.returncode}", flush=True)
    if ended.returncode:
        print(ended.stderr[-2000:])
    return seconds, ended.stdout


_MEASURED = """
import resource, sys
from equipoise.cli import main
code = main(sys.argv[1:])
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
own, children = (one.ru_maxrss / 1e3 for one in used)
seconds = sum(one.ru_utime + one.ru_stime for one in used)
sys.stderr.write(f"peak {own:.0f} MB (a child {children:.0f}), {seconds:.0f} s of processor time")
sys.exit(code)
"""


def check_cases(folder: Path, cases: int) -> None:
    """Check a cohort of many small files twice: with an empty cache, and with what the first check has kept."""
    if not (folder / "cohort.csv").is_file():
        began = time.perf_counter()
        pictures(folder, cases)
        print(f"made {cases} files in {time.perf_counter() - began:.0f} s")
    text = PROTOCOL.format(
        name="cases", source="manifest", cohort='path = "cohort.csv"', seeds=[0, 1, 2],
        arms="".join(ARM.format(name=name) for name in ("one", "two")),
    )  # fmt: skip
    (folder / "protocol.toml").write_text(text)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    for label in ("first check", "second check"):
        timed(label, folder, "check", "protocol.toml", "--quiet")


def run_jobs(folder: Path, jobs: int) -> None:
    """Run a trial of many tiny jobs, five arms; say the seconds of each job, of its training, and of the report."""
    seeds = list(range(jobs // 5))
    text = PROTOCOL.format(
        name="jobs", source="phantom", cohort="cases = 60\nsize = 16", seeds=seeds,
        arms="".join(ARM.format(name=f"arm-{number}") for number in range(5)),
    )  # fmt: skip
    (folder / "jobs.toml").write_text(text)
    shutil.rmtree(folder / "run", ignore_errors=True)
    seconds, _ = timed(f"a trial of {jobs} jobs", folder, "run", "jobs.toml", "--out", "run", "--quiet")
    trained = [json.loads(file.read_text())["train_seconds"] for file in (folder / "run" / "jobs").rglob("done.json")]
    side_by_side = int(os.environ.get("EQUIPOISE_CORES", len(os.sched_getaffinity(0))))
    own = seconds * side_by_side / jobs - float(np.mean(trained))
    print(
        f"a job {seconds * side_by_side / jobs:.2f} s, of which training {np.mean(trained):.2f} s: overhead {own:.2f} s"
    )
    timed("its report again", folder, "report", "run", "--quiet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cases", "jobs"])
    parser.add_argument("number", type=int)
    parser.add_argument("--folder", type=Path, required=True, help="where the made-up data and the run folders are")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    {"cases": check_cases, "jobs": run_jobs}[arguments.what](arguments.folder, arguments.number)
    print(f"peak of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()
