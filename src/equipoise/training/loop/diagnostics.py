"""Per-epoch optimizer diagnostics: norms of gradients, and the spread of per-parameter learning rates."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from equipoise.optimizers import AdaptiveMomentum

RATES_PER_EPOCH = 4
NORMS_PER_EPOCH = 16
"""Upper limit of the norms per epoch: on small networks a norm takes a twentieth of the time of a step."""


@dataclass
class Observation:
    """Observe one epoch of `steps` updates without a change to the training.

    norms: Euclidean norms of the gradient over all parameters, before any clipping, at evenly spread steps.
    evaluations: how many gradients the steps took: more than one each for optimizers that ask again.
    rates: rows of rates.csv: the epoch as a fraction, the scheduled learning rate, and quantiles of eta and beta.
    """

    epoch: int
    steps: int
    norms: list[float] = field(default_factory=list)
    rates: list[dict[str, float]] = field(default_factory=list)
    evaluations: int = 0
    _taken: int = 0
    _looked_at: int = -1

    def gradient(self, parameters: Iterable[nn.Parameter]) -> None:
        """Count a gradient, and record its norm if the coming step is sampled; of two in a step, the first."""
        self.evaluations += 1
        turn = self._taken % math.ceil(self.steps / NORMS_PER_EPOCH) == 0
        # `item` below waits for the device, which is why only some steps are sampled.
        if turn and self._looked_at != self._taken:
            self._looked_at = self._taken
            self.norms.append(gradient_norm(parameters).item())

    def step(self, optimizer: Optimizer) -> None:
        """Count a step, and record the rates at every quarter of the epoch if the optimizer is adaptive momentum."""
        before, self._taken = self._taken, self._taken + 1
        quarter = RATES_PER_EPOCH * self._taken // self.steps
        if isinstance(optimizer, AdaptiveMomentum) and quarter > RATES_PER_EPOCH * before // self.steps:
            self.rates.append({"epoch": self.epoch + self._taken / self.steps, **_row(optimizer)})

    @property
    def updates(self) -> int:
        """Number of steps that were taken."""
        return self._taken

    @property
    def mean_norm(self) -> float:
        """Mean of the norms; nan without any."""
        return sum(self.norms) / len(self.norms) if self.norms else float("nan")


def _row(optimizer: AdaptiveMomentum) -> dict[str, float]:
    (rates,) = optimizer.rates(pooled=True)
    row = {"lr": rates.lr}
    for name, values in (("rate", rates.rates), ("beta", rates.betas)):
        row |= {f"{name}_{level:g}": value for level, value in zip(rates.levels, values, strict=True)}
    return row


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the Euclidean norm over the gradients of all parameters that have one."""
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
