"""Small problems that show an optimizer's behaviour, and one loop that runs every optimizer."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from equipoise.optimizers.requirements import eval_mode, needs_closure, train_mode

Factory = Callable[[list[torch.nn.Parameter]], Optimizer]
Loss = Callable[[Tensor, int], Tensor]
"""The loss of one parameter tensor at a step (0, 1, ...)."""

SHAPE = (5, 8)
"""Shape of the parameter in `noisy_quadratic`: a matrix, because some optimizers treat matrices as wholes."""


@dataclass
class Descent:
    """A parameter, the optimizer that moves it, and the number of steps taken."""

    param: torch.nn.Parameter
    optimizer: Optimizer
    steps: int = 0

    @classmethod
    def start(cls, factory: Factory, at: Tensor, lr_scale: float = 1.0) -> "Descent":
        """Begin at a point, with the factory's learning rates multiplied by `lr_scale`."""
        param = torch.nn.Parameter(at.clone())
        optimizer = factory([param])
        for group in optimizer.param_groups:
            group["lr"] *= lr_scale
        return cls(param, optimizer)

    def run(self, loss: Loss, steps: int, *, anneal: bool = False) -> Tensor:
        """Take steps, then return the optimizer's weights for evaluation.

        With `anneal`, learning rates fall along half a cosine to zero, so that optimizers with steps of a fixed size
        can converge.
        """
        train_mode(self.optimizer)
        base = [group["lr"] for group in self.optimizer.param_groups]
        for i in range(steps):
            for group, lr in zip(self.optimizer.param_groups, base, strict=True):
                group["lr"] = lr * (1 + math.cos(math.pi * i / steps)) / 2 if anneal else lr
            if not math.isfinite(self.take(loss)):
                break  # a loss that is not finite never recovers
        eval_mode(self.optimizer)
        weights = self.param.detach().clone()
        train_mode(self.optimizer)
        return weights

    def take(self, loss: Loss) -> float:
        """Take one step, by a closure where the optimizer needs one; return the loss before it."""

        def closure() -> Tensor:
            """Compute the loss and its gradient anew."""
            self.optimizer.zero_grad()
            value = loss(self.param, self.steps)
            value.backward()  # type: ignore[no-untyped-call]
            return value.detach()

        value: Tensor | float
        if needs_closure(self.optimizer):
            value = self.optimizer.step(closure)  # type: ignore[arg-type]
        else:
            value = closure()
            self.optimizer.step()
        self.steps += 1
        return float(value)


def quadratic(theta: Tensor, step: int = 0) -> Tensor:
    """Return the sum of h_i * theta_i^2 / 2 with curvatures h from 0.1 to 10; its minimum is 0 at 0."""
    del step
    value: Tensor = (torch.logspace(-1, 1, theta.numel()) * theta.flatten() ** 2).sum() / 2
    return value


def rosenbrock(theta: Tensor, step: int = 0) -> Tensor:
    """Return Rosenbrock's function (1960), 100 (y - x^2)^2 + (1 - x)^2; its minimum is 0 at (1, 1)."""
    del step
    value: Tensor = 100 * (theta[1] - theta[0] ** 2) ** 2 + (1 - theta[0]) ** 2
    return value


def noisy_quadratic(theta: Tensor, step: int) -> Tensor:
    """Return a quadratic whose gradient has noise that depends on the step alone, so that runs can be compared."""
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(step))
    curvature = torch.linspace(0.2, 1.0, theta.numel()).view(SHAPE)
    value: Tensor = (curvature * (theta - 0.5) ** 2 / 2 + 0.3 * noise * theta).sum()
    return value
