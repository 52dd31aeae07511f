"""Muon for whole networks: orthogonalised momentum for kernels, Adam's direction for the rest."""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from equipoise.errors import EquipoiseError
from equipoise.optimizers.closure import ClosureOptimizer

# Quintic of Jordan (2024). Its steep slope at 0 lifts small singular values in few iterations; in exchange they end
# within about 0.7 .. 1.2 and do not converge to 1, which training does not notice.
_QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(ClosureOptimizer):
    """Momentum orthogonalised by Newton and Schulz (Jordan 2024, "Muon: An optimizer for hidden layers").

    Parameters of two or more dimensions are taken as matrices (first axis x all others, so that a
    convolution's kernel is outputs x patch); the others, biases and normalisation, follow AdamW. Updates of
    matrices are scaled by 0.2 * sqrt(max(rows, columns)), which gives them the size of AdamW's (Liu et al.
    2025, "Muon is Scalable for LLM Training"), so one lr and one weight_decay serve both. `torch.optim.Muon`
    takes matrices only. A group with `orthogonal=False` follows AdamW whole (embeddings, last layers).
    State: 4 bytes per parameter of matrices, 8 per other parameter.

    Args:
        params: tensors or parameter groups.
        lr: of both parts, with the value that AdamW would need.
        momentum: of the matrices, in Nesterov's form.
        weight_decay: decoupled.
        betas: of AdamW.
        eps: of AdamW.
        iterations: Newton-Schulz steps.
        orthogonal: whether matrices are orthogonalised.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        iterations: int = 5,
        orthogonal: bool = True,
    ) -> None:
        if lr < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in (momentum, *betas)):
            raise EquipoiseError(
                f"Muon got lr={lr!r}, momentum={momentum!r}, betas={betas!r}, weight_decay={weight_decay!r}; "
                "set lr and weight_decay to at least 0, momentum and betas in [0, 1)."
            )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "betas": tuple(betas),
            "eps": eps,
            "iterations": iterations,
            "orthogonal": orthogonal,
        }
        super().__init__(params, defaults)

    @staticmethod
    def _state_names(group: Mapping[str, Any], param: Tensor) -> tuple[Collection[str], Collection[str]]:
        matrix = group["orthogonal"] and param.dim() >= 2
        return ("momentum_buffer",) if matrix else ("step", "exp_avg", "exp_avg_sq"), ()

    def _update(self) -> None:
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None or not param.numel():
                    continue
                matrix = group["orthogonal"] and param.dim() >= 2
                direction = self._orthogonal if matrix else self._adam
                update = direction(param.grad, self.state[param], group)
                param.mul_(1 - group["lr"] * group["weight_decay"])
                param.sub_(update, alpha=group["lr"])

    @staticmethod
    def _orthogonal(grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        if not state:
            state["momentum_buffer"] = torch.zeros_like(grad)
        buffer = state["momentum_buffer"]
        buffer.lerp_(grad, 1 - group["momentum"])
        ahead = grad.lerp(buffer, group["momentum"])
        matrix = orthogonalised(ahead.flatten(1), group["iterations"])
        update: Tensor = matrix.view_as(ahead).mul_(0.2 * math.sqrt(max(matrix.shape)))
        return update

    @staticmethod
    def _adam(grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        if not state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(grad), torch.zeros_like(grad)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["exp_avg"].lerp_(grad, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        root = (state["exp_avg_sq"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        update: Tensor = (state["exp_avg"] / (1 - beta1 ** state["step"])).div_(root)
        return update


def orthogonalised(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Bring the singular values of a matrix near 1 (0.7 to 1.2) by Newton-Schulz iterations.

    A matrix of zeros stays zero. Works in the matrix's own precision, half precisions in float32.

    Shape: (rows, columns) in and out.
    """
    a, b, c = _QUINTIC
    x = matrix.float() if matrix.dtype in (torch.bfloat16, torch.float16) else matrix
    # Transposed where it is tall, so that the Gram matrix has the smaller side.
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-30)  # the iteration converges for spectral norms up to 1
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    near: Tensor = x.T if tall else x
    return near.to(matrix.dtype)
