"""Samples per second, forward and backward, of our DenseNet121 and U-Net beside MONAI's, in one run.

    python benchmarks/models_vs_monai.py [--size 64] [--batch 32] [--threads 2] [--seconds 6]

Each network is measured in fp32 (contiguous), fp32 channels-last and bf16 channels-last; rounds alternate between the
networks, so that a busy machine slows both, and the fastest step of each counts. The last line is the smallest ratio of
our best setting to MONAI's fp32, the way its standard pipeline trains.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import time
import warnings
from collections.abc import Callable

import torch
from torch import nn

from equipoise.models import DenseNet, UNet

FORMATS = {
    "fp32": (torch.contiguous_format, False),
    "fp32 channels-last": (torch.channels_last, False),
    "bf16 channels-last": (torch.channels_last, True),
}


def pairs() -> dict[str, tuple[nn.Module, nn.Module]]:
    """Ours and MONAI's network of the same architecture and size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.networks import nets

        dense = nets.DenseNet121(spatial_dims=2, in_channels=3, out_channels=2)
        unet = nets.BasicUNet(spatial_dims=2, in_channels=3, out_channels=2)
    return {
        "DenseNet121": (DenseNet(3, 2, 2, preset="121"), dense),
        "U-Net basic": (UNet(3, 2, 2, preset="basic", task="segmentation"), unet),
    }


def stepper(model: nn.Module, size: int, batch: int, setting: str) -> Callable[[], float]:
    """A function that runs one forward and backward pass and returns its seconds."""
    layout, reduced = FORMATS[setting]
    model = model.to(memory_format=layout).train()
    images = torch.randn(batch, 3, size, size).to(memory_format=layout)

    def step() -> float:
        for parameter in model.parameters():
            parameter.grad = None
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            output = model(images)
        output.float().square().mean().backward()
        return time.perf_counter() - start

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6, help="time for each network and setting")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    ratios = []
    for name, networks in pairs().items():
        best: dict[tuple[str, str], float] = {}
        for setting in FORMATS:
            steps = [stepper(network, arguments.size, arguments.batch, setting) for network in networks]
            for step in steps:
                step()
            fastest, end = [float("inf")] * 2, time.perf_counter() + 2 * arguments.seconds
            while time.perf_counter() < end:
                fastest = [min(old, step()) for old, step in zip(fastest, steps, strict=True)]
            for owner, seconds in zip(("ours", "monai"), fastest, strict=True):
                best[owner, setting] = arguments.batch / seconds
            print(f"{name:12} {setting:20} ours {best['ours', setting]:8.1f}/s  monai {best['monai', setting]:8.1f}/s")
        ratios.append(max(best["ours", setting] for setting in FORMATS) / best["monai", "fp32"])
        print(f"{name:12} ours at best / MONAI fp32: {ratios[-1]:.2f}")
    print(f"ratio {min(ratios):.2f}")


if __name__ == "__main__":
    main()
