"""One table of speeds beside MONAI's (SimpleITK's for DICOM): every ratio from one run of its own benchmark.

    python benchmarks/speed_table.py DATA [--rounds 3] [--only training reading …]

DATA is the folder of EQUIPOISE_DATA. One thread, processor time where the benchmark counts it, the peer's time over
ours (above 1: ours is faster). About 15 minutes on an idle core. Quality per processor minute beside nnU-Net and MONAI
on one split is a trial: examples/hippocampus-nnunet.toml.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import os
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
RATIO = re.compile(r"ratio (\d+\.\d+)")
DESCRIPTIONS = {
    "training": "training, samples a second (DenseNet121: classification, U-Net: segmentation; bf16 beside float32)",
    "models_vs_monai": "forward and backward, networks of equal size",
    "augmentation": "augmentation in batches",
    "sliding_window": "sliding windows over 4 × 240 × 240 × 155, patches of 96³",
    "preparing": "a BraTS case read, cropped, resampled",
    "reading": "reading files",
    "segmentation_metrics": "all endpoints of a pair of masks, beside HD95 and surface Dice alone",
}


def arguments_of(name: str, data: Path, rounds: int) -> list[str]:
    given = {
        "training": ["--threads", "1", "--rounds", str(rounds), "--sizes", "64", "128", "--volumes", "48"],
        "models_vs_monai": ["--threads", "1"],
        "augmentation": ["--threads", "1", "--rounds", str(rounds)],
        "sliding_window": ["--threads", "1", "--overlap", "0.25"],
    }
    return given.get(name, [str(data)])


def rows_of(name: str, output: str) -> list[tuple[str, str]]:
    """Return what is compared and its ratio, by line; the last line, the smallest ratio, only where it is alone."""
    lines = [line for line in output.splitlines() if RATIO.search(line)]
    single = [line for line in lines if not line.startswith("ratio")] or lines
    return [(_part(line) or name, RATIO.search(line)[1]) for line in single]


def _part(line: str) -> str:
    """Return what stands before "ours" or the ratio, as the network and the size of its input."""
    return " ".join(re.split(r"\s*\b(?:ours|ratio)\b", line)[0].split()).strip(" :,;")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=DESCRIPTIONS, default=list(DESCRIPTIONS))
    arguments = parser.parse_args()
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    table = ["| what | part | ratio |", "|---|---|---|"]
    for name in arguments.only:
        command = [sys.executable, str(HERE / f"{name}.py"), *arguments_of(name, arguments.data, arguments.rounds)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        print(f"== {name}\n{done.stdout}", flush=True)
        rows = rows_of(name, done.stdout) if done.returncode == 0 else [("failed", f"exit code {done.returncode}")]
        table += [f"| {DESCRIPTIONS[name]} | {part} | {ratio} |" for part, ratio in rows]
    print("\n".join(table))


if __name__ == "__main__":
    main()
