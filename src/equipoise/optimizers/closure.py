"""The frame of a step, the same for every optimizer of our own."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from equipoise.errors import EquipoiseError
from equipoise.optimizers.saved_state import check_saved_state


class ClosureOptimizer(Optimizer):
    """An optimizer whose step evaluates the closure, if there is one, and then updates; subclasses give `_update`.

    Complex weights and sparse gradients are refused unless a subclass sets `plain_only` to False.
    """

    plain_only = True

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
        if self.plain_only:
            refuse_unusual(self)
        self._update()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that an optimizer of this kind saved; raises EquipoiseError for any other."""
        check_saved_state(self, state_dict, self._state_names)
        super().load_state_dict(state_dict)

    @staticmethod
    def _state_names(group: Mapping[str, Any], param: Tensor) -> tuple[Collection[str], Collection[str]]:
        """Return the names in a parameter's state: those it must have, and those it may have besides."""
        raise NotImplementedError

    def _update(self) -> None:
        """Move the parameters; called without gradients being recorded."""
        raise NotImplementedError


def refuse_unusual(optimizer: Optimizer) -> None:
    """Raise EquipoiseError for complex weights and sparse gradients, on which a rule for real arrays gives nonsense."""
    for group in optimizer.param_groups:
        for param in group["params"]:
            if param.is_complex():
                raise EquipoiseError(
                    f"{type(optimizer).__name__} trains real weights, and one of shape {tuple(param.shape)} is "
                    f"{str(param.dtype).removeprefix('torch.')}; keep it as a real tensor with a last axis of two "
                    "(torch.view_as_complex inside the model), or train with Adam."
                )
            if param.grad is not None and param.grad.layout is not torch.strided:
                raise EquipoiseError(
                    f"{type(optimizer).__name__} needs dense gradients, and that of a weight of shape "
                    f"{tuple(param.shape)} is sparse; set sparse=False in the embedding, or train with SGD."
                )
