"""The frame of a step, the same for every optimizer of our own."""

from collections.abc import Callable
from typing import overload

import torch
from torch.optim import Optimizer


class ClosureOptimizer(Optimizer):
    """An optimizer whose step evaluates the closure, if there is one, and then updates; subclasses give `_update`."""

    @overload
    def step(self, closure: None = None) -> None:
        """Update without a closure."""

    @overload
    def step(self, closure: Callable[[], float]) -> float:
        """Update after the closure has computed loss and gradients."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient; returns the loss of the closure, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._update()
        return loss

    def _update(self) -> None:
        """Move the parameters; called without gradients being recorded."""
        raise NotImplementedError
