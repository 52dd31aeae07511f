"""What a graphics card computes, proved and measured in about ten minutes; rehearsed on the processor first.

    python benchmarks/gpu.py --device cpu --quick      # the rehearsal
    python benchmarks/gpu.py --out gpu.jsonl           # on a machine with a card
    python benchmarks/gpu.py --only gradients,networks

Steps, each a line of JSON (with its seconds, or its error) as soon as it ends:
gradients  our CUDA gradients of poolings, padding and cross-entropy against torch's own of the processor, twice
networks   every architecture, task, dimension and precision: layers that are not sound here, by the tries of a trial
foreign    the same for MONAI's U-Nets, where MONAI is installed
speed      milliseconds of a training step and its memory, ours beside MONAI's networks of the same kind
again      one trial's jobs trained twice, and once more with their worker killed: are the weights equal in every byte?
trial      `init --minutes` and `run` on a folder of volumes: the verdict, and the minutes that it took
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import hashlib
import json
import os
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from equipoise import models
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.loop.determinism import device_name, reproducible
from equipoise.training.loop.soundness import try_layers

PRECISIONS = ("float32", "bfloat16")
HIPPOCAMPUS = Path(os.environ.get("EQUIPOISE_DATA", "../shared/data")) / "msd_hippocampus"
CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")


def gradients(_: argparse.Namespace) -> dict[str, Any]:
    """Largest relative difference to the processor's gradient, by operation; and those that differ when repeated."""
    worst, unequal = dict[str, float](), []
    with reproducible(1):
        for name, function, shape in operations():
            x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            exact = gradient(function, x)
            here = [gradient(function, x.to(DEVICE)).cpu() for _ in range(3)]
            worst[name] = float((here[0] - exact).norm() / exact.norm())
            if not all(torch.equal(here[0], other) for other in here[1:]):
                unequal.append(name)
    return {"worst": {name: float(f"{value:.1e}") for name, value in worst.items()}, "differ_when_repeated": unequal}


def operations() -> Iterator[tuple[str, Callable[[torch.Tensor], torch.Tensor], tuple[int, ...]]]:
    """Differentiable operations that networks for images use, and for which torch has no repeatable CUDA gradient."""
    flat, volume = (2, 4, 24, 20), (2, 4, 14, 16, 12)
    yield "maximum of 2", lambda x: functional.max_pool3d(x, 2), volume
    yield "maximum of 3, stride 2", lambda x: functional.max_pool3d(x, 3, 2, 1), volume
    yield "mean of 2", lambda x: functional.avg_pool3d(x, 2), volume
    yield "mean of 3, padded", lambda x: functional.avg_pool3d(x, 3, 2, 1), volume
    yield "adaptive mean, 2D", lambda x: functional.adaptive_avg_pool2d(x, (5, 7)), flat
    yield "adaptive mean, 3D", lambda x: functional.adaptive_avg_pool3d(x, (5, 7, 3)), volume
    yield "adaptive maximum, 2D", lambda x: functional.adaptive_max_pool2d(x, (5, 7)), flat
    yield "repeated border", lambda x: functional.pad(x, (1, 2, 1, 1), "replicate"), flat
    yield "repeated border, 3D", lambda x: functional.pad(x, (1, 2, 1, 1, 0, 3), "replicate"), volume
    yield "mirrored border", lambda x: functional.pad(x, (1, 2, 1, 1), "reflect"), flat
    yield "linear, 2D", lambda x: functional.interpolate(x, (37, 40), mode="bilinear", align_corners=True), flat
    yield "linear, 3D", lambda x: functional.interpolate(x, (20, 24, 18), mode="trilinear", align_corners=True), volume
    classes = torch.randint(0, 4, (2, 24, 20), generator=torch.Generator().manual_seed(1))
    weight = torch.tensor([0.5, 1.0, 2.0, 0.0])
    yield "cross-entropy", lambda x: functional.cross_entropy(x, classes.to(x.device)), flat
    yield (
        "cross-entropy, weighted",
        lambda x: functional.cross_entropy(x, classes.to(x.device), weight=weight.to(x.device)),
        flat,
    )


def gradient(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The gradient of a random projection of the answer."""
    x = x.detach().requires_grad_()
    y = function(x)
    draws = torch.randn(y.shape, generator=torch.Generator().manual_seed(2)).to(y.device)
    return torch.autograd.grad(y, x, draws)[0]


def job_of(model: dict[str, Any], task: str, dims: int, precision: str) -> Job:
    """A job of one arm, without files."""
    arm = Arm.model_validate({"name": "net", "model": model, "optimizer": {"name": "sgd"}})
    here, training = Path(tempfile.gettempdir()), TrainingSection(batch_size=4, precision=precision)
    classes = ("a", "b")
    primary = "auc" if task == "classification" else "dice"
    regions = {} if task == "classification" else {"b": (1,)}
    return Job(arm, 0, 0, here, here, here, task, classes, 1, dims, training, {}, primary, regions)


def samples_of(task: str, dims: int, side: int) -> Samples:
    """Six random images with random classes, or masks."""
    draws, names = np.random.default_rng(0), tuple(f"c{n}" for n in range(6))
    images = draws.normal(size=(6, 1, *(side,) * dims)).astype(np.float32)
    targets = np.arange(6) % 2 if task == "classification" else (images[:, 0] > 0).astype(np.int64)
    return Samples(images, targets, names, names)


def tried(model: dict[str, Any], task: str, dims: int, precision: str, side: int) -> list[dict[str, str]]:
    """Unsound layers of one network, by the tries of a trial."""
    with tempfile.TemporaryDirectory() as folder:
        fields = {"training_cases": 6, "other_cases": (3, 3), "verdicts": {}, "log": Path(folder) / "log"}
        job = job_of(model, task, dims, precision)
        return try_layers(fields | {"job": job, "samples": samples_of(task, dims, side)})["unsound"]


def tried_all(wanted: list[tuple[str, dict[str, Any], str, int]], quick: bool) -> dict[str, Any]:
    """Try networks (label, model, task, dimensions) in both precisions."""
    unsound, errors, count = dict[str, Any](), dict[str, str](), 0
    for label, model, task, dims in wanted:
        side = {2: 64 if quick else 128, 3: 32}[dims]
        for precision in PRECISIONS:
            name, count = f"{label} {task} {dims}D {precision}", count + 1
            try:
                found = tried(model, task, dims, precision, side)
            except Exception as error:
                errors[name] = f"{type(error).__name__}: {error}".split("\n")[0]
                continue
            if found:
                unsound[name] = found
    return {"networks": count, "unsound": unsound, "errors": errors}


def networks(arguments: argparse.Namespace) -> dict[str, Any]:
    """Our architectures."""
    preset = "tiny" if arguments.quick else "small"
    wanted = [
        (name, {"name": name, "preset": preset}, task, dims)
        for name in ("unet", "deeplab", "densenet")
        for task in ("classification", "segmentation")
        for dims in (2, 3)
    ]
    return tried_all(wanted, arguments.quick)


def basic_unet(in_channels: int, out_channels: int, spatial_dims: int, **_: object) -> nn.Module:
    """MONAI's BasicUNet."""
    from monai.networks import nets

    return nets.BasicUNet(spatial_dims, in_channels, out_channels, features=(8, 8, 16, 32, 64, 8))


def residual_unet(in_channels: int, out_channels: int, spatial_dims: int, **_: object) -> nn.Module:
    """MONAI's UNet with residual units."""
    from monai.networks import nets

    return nets.UNet(spatial_dims, in_channels, out_channels, (8, 16, 32), (2, 2), num_res_units=2)


def foreign(arguments: argparse.Namespace) -> dict[str, Any]:
    """MONAI's networks, as a user's own model."""
    os.environ["PYTHONPATH"] = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    sys.path.append(str(Path(__file__).parent))
    wanted = [
        (name, {"name": f"gpu:{name}"}, "segmentation", dims)
        for name in ("basic_unet", "residual_unet")
        for dims in (2, 3)
    ]
    return tried_all(wanted, arguments.quick)


def speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds and megabytes of a training step, with repeatable kernels as in a trial."""
    from monai.networks import nets

    small = arguments.quick
    features = (4, 4, 8, 16, 32, 4) if small else (32, 32, 64, 128, 256, 32)
    pairs = {
        "U-Net 2D": (
            models.UNet(1, 3, 2, channels=features[:5]),
            nets.BasicUNet(2, 1, 3, features=features),
            (4 if small else 16, 1, *(64 if small else 256,) * 2),
        ),
        "U-Net 3D": (
            models.UNet(1, 3, 3, channels=features[:5]),
            nets.BasicUNet(3, 1, 3, features=features),
            (2, 1, *(32 if small else 96,) * 3),
        ),
        "DenseNet121 2D": (
            models.DenseNet(1, 2, 2, preset="121"),
            nets.DenseNet121(2, 1, 2),
            (4 if small else 64, 1, *(64 if small else 224,) * 2),
        ),
    }
    found = dict[str, Any]()
    for label, (ours, theirs, shape) in pairs.items():
        for precision in PRECISIONS:
            found[f"{label} {precision}"] = {
                "ours": step(ours, shape, precision, True),
                "monai": step(theirs, shape, precision, True),
                "monai, kernels of any order": step(theirs, shape, precision, False),
            }
    return found


def step(network: nn.Module, shape: tuple[int, ...], precision: str, repeatable: bool) -> dict[str, Any]:
    """The median step of at most 20 within 4 seconds; repeatable: with deterministic kernels and without TF32."""
    network = network.to(DEVICE).train()
    if len(shape) == 4:
        network = network.to(memory_format=torch.channels_last)
    optimizer, images = torch.optim.AdamW(network.parameters(), 1e-3, fused=CUDA), torch.randn(shape, device=DEVICE)
    images = images.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else images

    def once() -> float:
        """Take one step and return its seconds."""
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bfloat16"):
            answer = network(images)
        answer = answer.float()
        target = torch.zeros((answer.shape[0], *answer.shape[2:]), dtype=torch.int64, device=DEVICE)
        functional.cross_entropy(answer, target).backward()
        optimizer.step()
        if CUDA:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    times = list[float]()
    try:
        if CUDA:
            torch.cuda.reset_peak_memory_stats()
        if repeatable:
            with reproducible(1):
                times = repeated(once)
        else:
            times = repeated(once)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".split("\n")[0]}
    finally:
        network.to("cpu")
    memory = torch.cuda.max_memory_allocated() / 1e6 if CUDA else 0.0
    return {"ms": round(1000 * float(np.median(times)), 2), "mb": round(memory)}


def repeated(once: Callable[[], float]) -> list[float]:
    """Warm up three times, then time."""
    for _ in range(3):
        once()
    times, end = list[float](), time.perf_counter() + 4
    while len(times) < 20 and time.perf_counter() < end:
        times.append(once())
    return times


PROTOCOL = """
[trial]
name = "again"
[cohort]
source = "decathlon"
path = "{data}"
task = "segmentation"
[split]
fractions = [0.6, 0.1, 0.3]
[preprocessing]
scale = "zscore"
[augmentation]
rotate_degrees = 15
[training]
epochs = {epochs}
batch_size = 4
loss = "dice-cross-entropy"
patch = 32
seeds = [0]
precision = "{precision}"
[[arms]]
name = "unet"
model = {{name = "unet", preset = "tiny"}}
[[arms]]
name = "deeplab"
model = {{name = "deeplab", preset = "tiny"}}
"""


def again(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train the jobs of a trial on few volumes twice, and once more after a kill; compare weights and predictions."""
    equal = dict[str, Any]()
    for precision in PRECISIONS:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            subset(root / "data", 30)
            (root / "protocol.toml").write_text(
                PROTOCOL.format(data=root / "data", epochs=2 if arguments.quick else 4, precision=precision)
            )
            runs = [finished(root, name) for name in ("one", "two")]
            killed = started(root, "three")
            time.sleep(15)
            killed.kill()
            killed.wait()
            runs.append(finished(root, "three"))
            equal[precision] = {"files": len(runs[0]), "twice": runs[0] == runs[1], "killed": runs[0] == runs[2]}
            equal[precision]["differ"] = sorted(key for key in runs[0] if any(runs[0][key] != o.get(key) for o in runs))
    return equal


def subset(folder: Path, cases: int) -> None:
    """A Decathlon folder of the first cases."""
    described = json.loads((HIPPOCAMPUS / "dataset.json").read_text())
    described["training"] = described["training"][:cases]
    described["numTraining"] = cases
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for row in described["training"]:
        for part in row.values():
            (folder / part).symlink_to((HIPPOCAMPUS / part).resolve())
    (folder / "dataset.json").write_text(json.dumps(described))


def started(root: Path, name: str) -> subprocess.Popen[bytes]:
    """Begin a run of the protocol."""
    command = [sys.executable, "-m", "equipoise", "run", "protocol.toml", "--out", name, "--quiet"]
    return subprocess.Popen(command, cwd=root, env=dict(os.environ, XDG_CACHE_HOME=str(root / "cache")))


def finished(root: Path, name: str) -> dict[str, str]:
    """Run to the end; hashes of every job's weights and of its predictions."""
    if started(root, name).wait():
        raise RuntimeError(f"the run {name} failed")
    files = sorted((root / name / "jobs").rglob("*.safetensors"))
    files += sorted((root / name / "jobs").rglob("predictions.parquet"))
    return {str(file.relative_to(root / name)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def trial(arguments: argparse.Namespace) -> dict[str, Any]:
    """Configure and run a trial of the hippocampus volumes in the minutes given."""
    with tempfile.TemporaryDirectory() as folder:
        equipoise = [sys.executable, "-m", "equipoise"]
        place = dict(os.environ, XDG_CACHE_HOME=str(Path(folder) / "cache"))
        start = time.perf_counter()
        said = subprocess.run(
            [*equipoise, "init", str(HIPPOCAMPUS), "--minutes", str(arguments.minutes), "--device", arguments.device],
            cwd=folder,
            env=place,
            capture_output=True,
            text=True,
            check=False,
        )
        if said.returncode:
            raise RuntimeError(said.stderr[-2000:])
        configured = time.perf_counter()
        ran = subprocess.run(
            [*equipoise, "run", "protocol.toml", "--out", "out", "--quiet"],
            cwd=folder,
            env=place,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(ran.stderr[-2000:])
        ended = time.perf_counter()
        results = json.loads((Path(folder) / "out" / "results.json").read_text())
        done = [json.loads(file.read_text()) for file in sorted((Path(folder) / "out" / "jobs").rglob("done.json"))]
        kept = ("train_seconds", "latency_ms", "peak_memory_mb", "device_memory_mb", "warnings")
        return {
            "init": said.stdout.strip().splitlines(),
            "protocol": (Path(folder) / "protocol.toml").read_text(),
            "minutes": {"init": round((configured - start) / 60, 2), "run": round((ended - configured) / 60, 2)},
            "arms": {arm["name"]: arm.get("endpoints") for arm in results["arms"]},
            "comparisons": results["comparisons"],
            "jobs": [{key: one.get(key) for key in kept} for one in done],
        }


STEPS = {
    "gradients": gradients, "networks": networks, "foreign": foreign, "speed": speed, "again": again, "trial": trial,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--minutes", type=float, default=3, help="for the trial")
    parser.add_argument("--quick", action="store_true", help="small sizes, for the rehearsal")
    parser.add_argument("--only", default=",".join(STEPS), help="steps, with commas between them")
    parser.add_argument("--out", type=Path, help="a file that gets each line, too")
    arguments = parser.parse_args()
    if arguments.device != DEVICE.type:
        raise SystemExit(
            f"torch's device is {DEVICE.type}; say --device {DEVICE.type}, or hide the card with CUDA_VISIBLE_DEVICES="
        )
    facts = {"step": "machine", "device": device_name(), "torch": torch.__version__, "cores": os.cpu_count()}
    report(facts, arguments.out)
    for name in arguments.only.split(","):
        start = time.perf_counter()
        try:
            found = STEPS[name](arguments)
        except Exception:
            found = {"error": traceback.format_exc()[-3000:]}
        report({"step": name, "seconds": round(time.perf_counter() - start, 1), **found}, arguments.out)


def report(line: dict[str, Any], out: Path | None) -> None:
    text = json.dumps(line)
    print(text, flush=True)
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
