"""Several seeds of a network as one program (torch.func: stacked weights, vmap) beside one after another.

    python benchmarks/batched_seeds.py [--seeds 3] [--size 48] [--batch 32] [--steps 5]

On one thread, as jobs are trained; each seed has batches of its own. One after another in channels-last memory, the way
the loop trains; the fastest step of each counts. The last line is the smallest ratio of the two: above 1, one program
would pay.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import copy
import time

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from equipoise.kernels import normalize as fused
from equipoise.models import DeepLab, DenseNet, UNet, normalization

NETWORKS = {"DenseNet small": DenseNet, "U-Net small": UNet, "DeepLab small": DeepLab}


def networks(kind: type[nn.Module], seeds: int) -> list[nn.Module]:
    """The same network with the weights of several seeds, in training mode."""
    made = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        made.append(kind(3, 2, 2, preset="small", task="classification").train())
    return made


def one_program(models: list[nn.Module], images: Tensor, labels: Tensor) -> tuple[float, list[dict[str, Tensor]]]:
    """Fastest step, and the weights after all steps; images (steps, seeds, n, 3, y, x)."""
    params, buffers = stack_module_state(models)
    base = copy.deepcopy(models[0]).to("meta")
    optimizer = torch.optim.SGD(params.values(), lr=0.05, momentum=0.9)
    answer = vmap(lambda p, b, x: functional_call(base, (p, b), (x,)))
    times = []
    for x, y in zip(images, labels, strict=True):
        start = time.process_time()
        optimizer.zero_grad()
        losses = vmap(nn.functional.cross_entropy)(answer(params, buffers, x), y)
        losses.sum().backward()
        optimizer.step()
        times.append(time.process_time() - start)
    return min(times[1:]), [{name: value[seed] for name, value in params.items()} for seed in range(len(models))]


def one_after_another(models: list[nn.Module], images: Tensor, labels: Tensor) -> tuple[float, list[dict[str, Tensor]]]:
    """As `one_program`."""
    models = [model.to(memory_format=torch.channels_last) for model in models]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9) for model in models]
    times = []
    for x, y in zip(images, labels, strict=True):
        start = time.process_time()
        for seed, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
            optimizer.zero_grad()
            own = x[seed].contiguous(memory_format=torch.channels_last)
            nn.functional.cross_entropy(model(own), y[seed]).backward()
            optimizer.step()
        times.append(time.process_time() - start)
    return min(times[1:]), [dict(model.named_parameters()) for model in models]


def without_kernels() -> None:
    """vmap knows neither our compiled kernels nor questions about memory: torch's own layers take their place."""
    fused.channels_last = normalization.channels_last = lambda _: False


def main() -> None:
    """Print a line a network, and the smallest ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("seeds", 3), ("size", 48), ("batch", 32), ("steps", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    shape = (asked.steps, asked.seeds, asked.batch)
    images, labels = torch.randn(*shape, 3, asked.size, asked.size), torch.randint(0, 2, shape)
    found = {name: one_after_another(networks(kind, asked.seeds), images, labels) for name, kind in NETWORKS.items()}
    without_kernels()
    ratios = []
    for name, kind in NETWORKS.items():
        seconds, weights = one_program(networks(kind, asked.seeds), images, labels)
        apart, wanted = found[name]
        off = max(
            float((own[k] - v).abs().max()) for own, one in zip(weights, wanted, strict=True) for k, v in one.items()
        )
        ratios.append(apart / seconds)
        print(f"{name}: one program {1e3 * seconds:.0f} ms, one after another {1e3 * apart:.0f} ms, "
              f"ratio {ratios[-1]:.2f}; largest difference of a weight {off:.1e}")  # fmt: skip
    print(f"ratio {min(ratios):.2f}")


if __name__ == "__main__":
    main()
