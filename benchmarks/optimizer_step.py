"""One optimizer step over the tensors of a DenseNet121, against torch.optim.Adam(fused=True) in the same run.

    python benchmarks/optimizer_step.py [--threads N] [--repeats N] [--warm-up N] [--path PATH]

Prints, for every member of the family: milliseconds (median), its time over Adam's (the median over repeats
of the ratio within a repeat, so that a busy machine disturbs both), bytes of state a parameter and the path
taken; on a GPU also the share of the memory bandwidth that a copy reaches. Members step in turn within each
repeat, on gradients that differ from step to step; counts are warmed up first, so that rates are spread.
The last line is `ratio N.NN`: the largest ratio of the members on the path asked for.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import time
from collections.abc import Iterator

import numpy as np
import torch

from equipoise.optimizers import AdaptiveMomentum

MEMBERS = {
    "paper": {"rule": "paper"},
    "bounded": {"rule": "bounded"},
    "agreement, per tensor": {"rule": "agreement"},
    "agreement, per element": {"rule": "agreement", "per": "element"},
    "adam": {"rule": "adam"},
    "adam, per tensor": {"rule": "adam", "per": "tensor"},
}
# Bytes that must move for each parameter: theta read and written, gradient read, state read and written.
TRAFFIC = {"paper": 16, "bounded": 14, "agreement, per tensor": 20, "agreement, per element": 22}
TRAFFIC |= {"adam": 30, "adam, per tensor": 28, "Adam(fused)": 28}


def densenet121_shapes(growth: int = 32, blocks: tuple[int, ...] = (6, 12, 24, 16)) -> Iterator[tuple[int, ...]]:
    """Shapes of the parameters of DenseNet121 (Huang et al. 2017) with one input channel and two classes."""
    channels = 64
    yield from ((channels, 1, 7, 7), (channels,), (channels,))
    for number, layers in enumerate(blocks):
        for _ in range(layers):
            yield from ((channels,), (channels,), (4 * growth, channels, 1, 1))
            yield from ((4 * growth,), (4 * growth,), (growth, 4 * growth, 3, 3))
            channels += growth
        yield from ((channels,), (channels,))
        if number < len(blocks) - 1:
            yield (channels // 2, channels, 1, 1)
            channels //= 2
    yield from ((2, channels), (2,))


class Runner:
    """One optimizer on parameters of its own, fed gradients shared by all."""

    def __init__(self, make, gradients: list[list[torch.Tensor]], device: torch.device) -> None:
        self.gradients = gradients
        self.params = [torch.nn.Parameter(0.1 * torch.randn_like(grad)) for grad in gradients[0]]
        self.optimizer = make(self.params)
        self.device, self.steps = device, 0

    def step(self) -> float:
        """Seconds of one step; setting the gradients, as autograd does, is not counted."""
        for param, grad in zip(self.params, self.gradients[self.steps % len(self.gradients)], strict=True):
            param.grad = grad
        self.steps += 1
        self._wait()
        start = time.perf_counter()
        self.optimizer.step()
        self._wait()
        return time.perf_counter() - start

    def state_bytes(self) -> float:
        """Bytes of state for each parameter."""
        tensors = [v for state in self.optimizer.state.values() for v in state.values() if torch.is_tensor(v)]
        total = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return total / sum(param.numel() for param in self.params)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def measure(options: argparse.Namespace, device: torch.device) -> dict[str, tuple[Runner, list[float]]]:
    """Seconds of every repeat of every optimizer, in turn within each repeat."""
    generator = torch.Generator().manual_seed(0)
    gradients = [
        [torch.randn(shape, generator=generator).to(device) for shape in densenet121_shapes()] for _ in range(4)
    ]
    makers = {"Adam(fused)": lambda params: torch.optim.Adam(params, lr=1e-4, fused=True)}
    for name, settings in MEMBERS.items():
        makers[name] = lambda params, s=settings: AdaptiveMomentum(params, 1e-4, path=options.path, **s)
    runs = {name: (Runner(make, gradients, device), []) for name, make in makers.items()}
    for runner, _ in runs.values():
        for _ in range(options.warm_up):
            runner.step()
        spread(runner)
    for _ in range(options.repeats):
        for runner, seconds in runs.values():
            seconds.append(runner.step())
    return runs


def spread(runner: Runner) -> None:
    """Counts as after hundreds of steps, where they lie far apart: fresh ones would flatter the look-up."""
    generator = torch.Generator().manual_seed(1)
    for state in runner.optimizer.state.values():
        count = state.get("count")
        if count is not None and count.dim():
            drawn = (40 * torch.randn(count.shape, generator=generator)).clamp(-115, 115)
            count.copy_(drawn.to(count.device))


def copy_bandwidth(device: torch.device) -> float:
    """Bytes a second that a plain copy moves on a GPU."""
    source = torch.empty(2**28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(10):
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize(device)
        best = max(best, 2 * source.numel() / (time.perf_counter() - start))
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="One optimizer step against torch.optim.Adam(fused=True).")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=41)
    parser.add_argument("--warm-up", type=int, default=130, help="steps before measuring (130: two-byte counts)")
    parser.add_argument("--path", default="auto", help="auto, compiled, foreach or loop")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shapes = list(densenet121_shapes())
    elements = sum(torch.Size(shape).numel() for shape in shapes)
    print(f"{elements:,} parameters in {len(shapes)} tensors, {device.type}, {options.threads} threads")
    runs = measure(options, device)
    adam = runs["Adam(fused)"][1]
    peak = copy_bandwidth(device) if device.type == "cuda" else None
    worst = 0.0
    for name, (runner, seconds) in runs.items():
        ratio = float(np.median(np.divide(seconds, adam)))
        worst = max(worst, ratio if name in MEMBERS else 0.0)
        line = f"{name:24s}{1e3 * np.median(seconds):8.2f} ms {ratio:6.2f} x"
        line += f"{runner.state_bytes():7.2f} bytes/parameter"
        if peak:
            line += f"  {TRAFFIC[name] * elements / np.median(seconds) / peak:5.0%} of a copy's bandwidth"
        print(line + f"  {getattr(runner.optimizer, 'paths_taken', '')}")
    print(f"ratio {worst:.2f}")


if __name__ == "__main__":
    main()
