"""What an epoch shows of its optimizer: norms of gradients, and the spread of its learning rates."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from equipoise.optimizers import AdaptiveMomentum

RATES_AN_EPOCH = 4
NORMS_AN_EPOCH = 16
"""At most so many: on small networks a norm costs a twentieth of a step."""


@dataclass
class Observation:
    """One epoch of so many steps, watched; it reads and changes nothing.

    norms: Euclidean norms of the gradient over all parameters, before any clipping, at steps evenly spread.
    rates: rows of rates.csv: the epoch as a fraction, the learning rate as scheduled, and quantiles of eta and beta.
    """

    epoch: int
    steps: int
    norms: list[float] = field(default_factory=list)
    rates: list[dict[str, float]] = field(default_factory=list)
    _taken: int = 0
    _looked_at: int = -1

    def gradient(self, parameters: Iterable[nn.Parameter]) -> None:
        """Note the gradient of the step to come, where its turn has come; of a step that looks twice, the first."""
        turn = self._taken % math.ceil(self.steps / NORMS_AN_EPOCH) == 0
        if turn and self._looked_at != self._taken:
            self._looked_at = self._taken
            self.norms.append(gradient_norm(parameters).item())

    def step(self, optimizer: Optimizer) -> None:
        """Note that a step was taken, and at every quarter of the epoch the rates, where the optimizer has some."""
        before, self._taken = self._taken, self._taken + 1
        quarter = RATES_AN_EPOCH * self._taken // self.steps
        if isinstance(optimizer, AdaptiveMomentum) and quarter > RATES_AN_EPOCH * before // self.steps:
            self.rates.append({"epoch": self.epoch + self._taken / self.steps, **_row(optimizer)})

    @property
    def mean_norm(self) -> float:
        """Mean of the norms; nan before any."""
        return sum(self.norms) / len(self.norms) if self.norms else float("nan")


def _row(optimizer: AdaptiveMomentum) -> dict[str, float]:
    (found,) = optimizer.rates(pooled=True)
    row = {"lr": found.lr}
    for name, values in (("rate", found.rates), ("beta", found.betas)):
        row |= {f"{name}_{level:g}": value for level, value in zip(found.levels, values, strict=True)}
    return row


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The Euclidean norm over the gradients of all parameters that have one."""
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
