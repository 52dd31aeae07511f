"""Where the parameters of a batch come from: one passed generator, and each step's own probability."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chance:
    """Draws for n images; every number is drawn on the CPU, so it is the same on every device."""

    n: int
    generator: torch.Generator
    probability: Mapping[str, float]

    def uniform(self, step: str, low: float, high: float, *shape: int, neutral: float = 0.0) -> Tensor:
        """(n, *shape) numbers from [low, high); `neutral` for the images that the step passes over."""
        drawn = low + (high - low) * torch.rand((self.n, *shape), generator=self.generator)
        share = self.probability.get(step, 1.0)
        if share == 1.0:
            return drawn
        happens = torch.rand(self.n, generator=self.generator) < share
        return drawn.where(happens.view(-1, *(1,) * len(shape)), torch.tensor(neutral))

    def coins(self, *shape: int) -> Tensor:
        """(n, *shape) fair coins."""
        return torch.rand((self.n, *shape), generator=self.generator) < 0.5

    def seed(self) -> int:
        """A number from which an effect may draw a whole field of values."""
        return int(torch.randint(2**62, (), generator=self.generator))
