"""Lion, which steps along the sign of an interpolated momentum."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from equipoise.errors import EquipoiseError
from equipoise.optimizers.closure import ClosureOptimizer


class Lion(ClosureOptimizer):
    """EvoLved sIgn mOmeNtum (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2).

    theta -= lr * (sign(b1 * m + (1 - b1) * g) + weight_decay * theta), then m = b2 * m + (1 - b2) * g.
    Every element moves by lr at each step, so a learning rate 3 to 10 times below Adam's is suitable, with a weight
    decay as many times above. State: 4 bytes per parameter.

    Args:
        params: tensors or parameter groups.
        lr: size of every step.
        betas: b1 and b2.
        weight_decay: decoupled.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        if lr < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            raise EquipoiseError(
                f"Lion got lr={lr!r}, betas={betas!r}, weight_decay={weight_decay!r}; set lr and weight_decay "
                "to at least 0 and betas to two numbers in [0, 1)."
            )
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay})

    @staticmethod
    def _state_names(group: Mapping[str, Any], param: Tensor) -> tuple[Collection[str], Collection[str]]:  # noqa: ARG004
        return ("exp_avg",), ()

    def _update(self) -> None:
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for param in group["params"]:
                if param.grad is None:
                    continue
                state = self.state[param]
                if not state:
                    state["exp_avg"] = torch.zeros_like(param)
                exp_avg = state["exp_avg"]
                param.mul_(1 - group["lr"] * group["weight_decay"])
                # Two interpolations of one momentum: the step weighs the fresh gradient more (b1) than the memory (b2).
                param.sub_(torch.lerp(param.grad, exp_avg, beta1).sign_(), alpha=group["lr"])
                exp_avg.lerp_(param.grad, 1 - beta2)
