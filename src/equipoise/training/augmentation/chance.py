"""Draw the parameters of a batch from one given generator, with a probability for each step."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chance:
    """Source of draws for n images; every number is drawn on the CPU, so it is the same on every device."""

    n: int
    generator: torch.Generator
    probability: Mapping[str, float]

    def uniform(self, step: str, low: float, high: float, *shape: int, neutral: float = 0.0) -> Tensor:
        """Draw (n, *shape) numbers from [low, high); images that skip the step get `neutral`."""
        # Values are drawn for all images, also for those that will skip: how much of the stream a step uses depends
        # on n and the plan, never on the outcome.
        drawn = low + (high - low) * torch.rand((self.n, *shape), generator=self.generator)
        share = self.probability.get(step, 1.0)
        if share == 1.0:
            return drawn
        happens = torch.rand(self.n, generator=self.generator) < share
        return drawn.where(happens.view(-1, *(1,) * len(shape)), torch.tensor(neutral))

    def coins(self, *shape: int) -> Tensor:
        """Toss (n, *shape) fair coins."""
        return torch.rand((self.n, *shape), generator=self.generator) < 0.5

    def seed(self) -> int:
        """Draw a seed from which an effect may draw a whole field of values."""
        # A field drawn here, on the CPU, would cost a copy of the batch's size to the device at every step.
        return int(torch.randint(2**62, (), generator=self.generator))
