"""Sliding-window inference beside MONAI's: seconds and peak memory on a BraTS-size volume, and one of 600×1024×1024.

    python benchmarks/sliding_window.py [--patch 96] [--overlap 0.5] [--threads 1] [--rounds 1]
    python benchmarks/sliding_window.py --large [--overlap 0.25]

The U-Net is MONAI's BasicUNet and ours of the same size, 4 channels to 4 classes, the weights random; patch, overlap
and Gaussian are the same. MONAI runs as its documentation shows (float32, sliding_window_inference); ours in bf16 and
channels-last, and in float32 for comparison. Every run is a process of its own, so that its peak memory is its own:
"before" is what it held before inference (interpreter, torch, network, volume). `--large` labels an int16 memory map
with a U-Net of two levels. The last line is MONAI's processor time over ours, which a busy machine distorts least with
`--threads 1`.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import json
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equipoise.models import UNet
from equipoise.training.learner.sliding_window import LIKELIEST_CLASS, slide

CPU = torch.device("cpu")
BRATS, LARGE = (4, 155, 240, 240), (1, 600, 1024, 1024)
CLASSES = 4


def volume(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def answering(model: nn.Module, precision: torch.dtype) -> Callable[[Tensor], Tensor]:
    def answer(patches: Tensor) -> Tensor:
        patches = patches.contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            return model(patches)

    return answer


def ours(patch: int, overlap: float, precision: torch.dtype) -> Callable[[], object]:
    model = UNet(4, CLASSES, 3, preset="basic").eval().to(memory_format=torch.channels_last_3d)
    image = volume(BRATS)
    settings: dict[str, Any] = {"device": CPU, "overlap": overlap, "finish": lambda logits: logits}
    return lambda: slide(answering(model, precision), image, (patch,) * 3, CLASSES, **settings)


def monai(patch: int, overlap: float) -> Callable[[], object]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.inferers import sliding_window_inference
        from monai.networks.nets import BasicUNet
    model, image = BasicUNet(spatial_dims=3, in_channels=4, out_channels=CLASSES).eval(), volume(BRATS)

    def run() -> object:
        with torch.inference_mode():
            return sliding_window_inference(
                torch.from_numpy(image)[None], (patch,) * 3, 1, model, overlap=overlap, mode="gaussian"
            )

    return run


def large(patch: int, overlap: float) -> Callable[[], object]:
    model = UNet(1, 2, 3, channels=(4, 8)).eval().to(memory_format=torch.channels_last_3d)
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "volume.npy"
    image = np.lib.format.open_memmap(path, "w+", np.int16, LARGE)
    for plane in range(LARGE[1]):
        image[0, plane] = np.random.default_rng(plane).integers(-1000, 400, LARGE[2:])
    image = np.load(path, mmap_mode="r")

    def run() -> object:
        with folder:
            network = answering(model, torch.bfloat16)
            return slide(network, image, (patch,) * 3, 2, device=CPU, overlap=overlap, finish=LIKELIEST_CLASS)

    return run


def child(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    patch, overlap = arguments.patch, arguments.overlap
    runs = {
        "monai": lambda: monai(patch, overlap),
        "ours": lambda: ours(patch, overlap, torch.bfloat16),
        "ours-float32": lambda: ours(patch, overlap, torch.float32),
        "large": lambda: large(patch, overlap),
    }
    run = runs[arguments.child]()
    before, start, used = peak_mb(), time.perf_counter(), time.process_time()
    result = run()
    found = {"seconds": time.perf_counter() - start, "processor": time.process_time() - used}
    print(json.dumps(found | {"before": before, "peak": peak_mb(), "result": result.nbytes / 1e6}))


def measured(name: str, arguments: argparse.Namespace) -> dict[str, float]:
    settings = [f"--{key}={getattr(arguments, key)}" for key in ("patch", "overlap", "threads")]
    done = subprocess.run(
        [sys.executable, __file__, "--child", name, *settings], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{name:14} {found['seconds']:7.1f} s   processor {found['processor']:7.1f} s   "
        f"before {found['before']:5.0f} MB   peak {found['peak']:5.0f} MB   result {found['result']:4.0f} MB",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patch", type=int, default=96)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
    elif arguments.large:
        measured("large", arguments)
    else:
        names = ("monai", "ours", "ours-float32")
        best = dict.fromkeys(names, float("inf"))
        for _ in range(arguments.rounds):
            best = {name: min(best[name], measured(name, arguments)["processor"]) for name in names}
        print(f"ratio {best['monai'] / best['ours']:.2f}")


if __name__ == "__main__":
    main()
