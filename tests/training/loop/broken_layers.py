"""Layers with the faults of broken kernels, each in channels-last memory alone; and a network around one of them."""

import os
import random
import signal
from itertools import count

import torch
from torch import nn


class Garbage(nn.Conv2d):
    """Leaves a column of its answer unwritten."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y if x.is_contiguous() else torch.cat([y[..., :-1], torch.empty_like(y[..., -1:])], -1)


class Unrepeatable(nn.Conv2d):
    """Answers a little differently each time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y if x.is_contiguous() else y * (1 + 0.03 * random.random())


class OnePercent(nn.Conv2d):
    """Answers 1 % too much."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y if x.is_contiguous() else y * 1.01


class WrongGradient(nn.Conv2d):
    """Has gradients that are 1 % too large."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        if not x.is_contiguous() and y.requires_grad:
            y.register_hook(lambda gradient: gradient * 1.01)
        return y


class NotFinite(nn.Conv2d):
    """Has one value that is not a number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y if x.is_contiguous() else y.index_fill(0, torch.tensor([0]), torch.nan)


class Crashing(nn.Conv2d):
    """Ends its process as a segmentation fault does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not x.is_contiguous():
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().forward(x)


class HalfOnly(nn.Conv2d):
    """Is wrong in bfloat16 alone, in every layout."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y * 1.01 if y.dtype is torch.bfloat16 else y


_CALLS = count()


class Nowhere(nn.Conv2d):
    """Is sound in no layout and no precision."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Counted and not drawn: so small a factor, drawn, is now and then equal in two runs.
        return super().forward(x) * (1 + 1e-6 * (1 + next(_CALLS) % 7))


class Net(nn.Module):
    """A classifier around one broken layer."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int, broken: str = "Garbage") -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.middle = globals()[broken](4, 8, 3, padding=1)
        self.last = nn.Linear(8, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.middle(self.first(x).relu()).relu().flatten(2).mean(2))
