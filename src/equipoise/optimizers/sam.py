"""Sharpness-aware minimisation on top of SGD with momentum."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD

from equipoise.errors import EquipoiseError
from equipoise.optimizers.saved_state import check_saved_state


class SAM(SGD):
    """Descend along the gradient at a distance rho uphill (Foret et al. 2021, equations 2 and 3).

    Each step computes two gradients, so it needs a closure and costs two passes; normalisation layers see
    the batch twice. State: 4 bytes per parameter with momentum, and 4 more during a step.

    Args:
        params: tensors or parameter groups.
        lr: of SGD.
        rho: distance uphill in the Euclidean norm over all parameters.
        momentum: of SGD.
        nesterov: whether the momentum is Nesterov's.
        settings: any other setting of `torch.optim.SGD`.
    """

    needs_closure = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        rho: float = 0.05,
        momentum: float = 0.9,
        *,
        nesterov: bool = True,
        **settings: Any,
    ) -> None:
        if rho < 0:
            raise EquipoiseError(f"SAM got rho={rho!r}; set a distance of at least 0.")
        super().__init__(params, lr, momentum, nesterov=nesterov, **settings)
        self.defaults["rho"] = rho
        for group in self.param_groups:
            group.setdefault("rho", rho)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; `closure` zeroes gradients, computes the loss, calls backward and returns the loss.

        Returns the loss at the weights before the step.

        Raises:
            EquipoiseError: without a closure.
        """
        if closure is None:
            raise EquipoiseError("SAM needs two gradients per step; call step(closure) with a closure.")
        with torch.enable_grad():
            loss = closure()
        moved = self._climb()
        with torch.enable_grad():
            closure()
        for param, before in moved:
            # A copy and not a subtraction: theta + e - e rounds, and the weights would drift from step to step.
            param.copy_(before)
        super().step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that SAM saved; raises EquipoiseError for any other."""
        check_saved_state(self, state_dict, lambda _group, _param: ((), ("momentum_buffer",)))
        super().load_state_dict(state_dict)

    def _climb(self) -> list[tuple[Tensor, Tensor]]:
        """Move every parameter uphill along the joint gradient; return each one with its value before.

        The distance is the first group's rho, because it is measured over all groups together.
        """
        params = [param for group in self.param_groups for param in group["params"] if param.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack([param.grad.norm() for param in params])) if params else 0
        moved = [(param, param.clone()) for param in params]
        for param in params:
            param.add_(param.grad * (self.param_groups[0]["rho"] / (norm + 1e-12)))
        return moved
