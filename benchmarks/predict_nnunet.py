"""Masks for a folder of volumes: `equipoise predict` beside nnU-Net's own command, from files to files.

    python benchmarks/predict_nnunet.py JOB BUNDLE IMAGES [--cases 40] [--runtimes onnx openvino-bf16] [--python FILE]

JOB is the folder of a finished job of an arm `model = {name = "nnunet"}`, BUNDLE that of a U-Net of the same widths
(`channels = [32, 64, 128, 256]` for the hippocampus), IMAGES a folder of NIfTI files. Processor time of the whole
commands, starting and importing included, with one thread; nnU-Net with and without its mirroring, windows that overlap
by half in both. nnU-Net 2 must be installed; FILE is the Python that runs ours, where OpenVINO lies elsewhere.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path


def model_folder(job: Path, out: Path) -> None:
    """Write a model folder as nnU-Net's commands read it, from what a job has kept of one."""
    import torch
    from safetensors.torch import load_file

    facts = json.loads((job / "nnunet.json").read_text())
    weights = load_file(job / "checkpoint" / "model.safetensors")
    weights |= {name: weights[first] for name, first in facts["same"].items()}
    (out / "fold_0").mkdir(parents=True)
    (out / "plans.json").write_text(json.dumps(facts["plans"]))
    (out / "dataset.json").write_text(json.dumps(facts["dataset"] | {"file_ending": ".nii.gz"}))
    checkpoint = {
        "network_weights": weights,
        "trainer_name": facts["trainer"],
        "init_args": {"configuration": facts["configuration"], "fold": 0},
        "inference_allowed_mirroring_axes": tuple(facts["mirroring_axes"]),
    }
    torch.save(checkpoint, out / "fold_0" / "checkpoint_final.pth")


def seconds_of(*command: str | Path) -> tuple[float, float]:
    """Return processor seconds and seconds of a command and of the processes that it starts, with one thread."""
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, check=False)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.time() - start
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}: {done.stderr[-800:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Print processor seconds a case of every way, and the ratio to ours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--runtimes", nargs="+", default=["onnx"])
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    files = sorted(options.images.glob("[!.]*.nii.gz"))[: options.cases]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "in").mkdir()
        for file in files:
            shutil.copy(file, place / "in" / file.name.replace(".nii.gz", "_0000.nii.gz"))
        model_folder(options.job, place / "model")
        spent = {}
        for runtime in options.runtimes:
            command = ("-m", "equipoise", "predict", options.bundle, place / "in", "--out", place / runtime)
            spent[f"equipoise, {runtime}"] = seconds_of(options.python, *command, "--runtime", runtime)
        tool = Path(sys.executable).with_name("nnUNetv2_predict_from_modelfolder")
        given = ("-i", place / "in", "-m", place / "model", "-f", "0", "-device", "cpu", "-npp", "1", "-nps", "1")
        for label, more in (("without mirroring", ["--disable_tta"]), ("as it comes", [])):
            spent[f"nnU-Net, {label}"] = seconds_of(tool, *given, "-o", place / label.replace(" ", "-"), *more)
        masks = {path.name: len(list(path.rglob("*.nii.gz"))) for path in place.iterdir() if path.is_dir()}
    print(f"{len(files)} cases; files written: {masks}")
    ours = spent[f"equipoise, {options.runtimes[0]}"][0]
    for label, (processor, wall) in spent.items():
        each = processor / len(files)
        print(f"{label:30} {each:7.3f} s of processor time a case, {wall:6.1f} s in all, ratio {processor / ours:.2f}")


if __name__ == "__main__":
    main()
