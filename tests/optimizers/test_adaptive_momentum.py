"""The family against references of a few literal lines, and as a drop-in torch optimizer."""

import math

import pytest
import torch
from torch import Tensor

from equipoise.optimizers import AdaptiveMomentum, RateRangeWarning


def literal_rule(theta: Tensor, grads: list[Tensor], eta0: float, alpha: float, gamma: float, beta0: float):
    """Equations 1 to 3 as printed: beta in float64, rates rounded once to the parameters' float32."""
    beta = torch.full(theta.shape, beta0, dtype=torch.float64)
    previous = torch.zeros_like(theta)
    for grad in grads:
        beta = beta + alpha * torch.sign(previous).double()  # (1)
        eta = (eta0 * torch.exp(-gamma * beta)).float()  # (2)
        theta = theta - eta * grad  # (3)
        previous = grad
    return theta


def drive(optimizer: torch.optim.Optimizer, params: list[Tensor], gradients: list[list[Tensor]]) -> None:
    """Feed recorded gradients: gradients[t][i] is that of params[i] at step t."""
    for grads in gradients:
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad.clone()
        optimizer.step()


def stream(shape: tuple[int, ...], steps: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drift = torch.randn(shape, generator=generator)
    return [0.5 * drift + torch.randn(shape, generator=generator) for _ in range(steps)]


@pytest.mark.parametrize(("alpha", "gamma", "beta0"), [(0.01, 0.1, 0.0), (0.01, 0.7, 1.5), (0.5, 0.02, -3.0)])
def test_literal_rule_equals_its_reference_to_the_last_bit(alpha: float, gamma: float, beta0: float) -> None:
    theta = torch.linspace(-2, 2, 40 * 1000).view(40, 1000)
    grads = stream((40, 1000), 150)
    param = torch.nn.Parameter(theta.clone())
    optimizer = AdaptiveMomentum.paper([param], 0.1, alpha=alpha, gamma=gamma, beta0=beta0, ratio=1e6)
    drive(optimizer, [param], [[grad] for grad in grads])
    assert torch.equal(param.detach(), literal_rule(theta, grads, 0.1, alpha, gamma, beta0))


def test_literal_rule_warns_once_when_a_rate_leaves_the_stated_range() -> None:
    param = torch.nn.Parameter(torch.zeros(3))
    optimizer = AdaptiveMomentum.paper([param], alpha=1.0, gamma=0.1, ratio=10.0)
    steps_within = math.floor(math.log(10.0) / 0.1)
    drive(optimizer, [param], [[torch.ones(3)]] * steps_within)
    with pytest.warns(RateRangeWarning, match="factor of"):
        drive(optimizer, [param], [[torch.ones(3)]])
    drive(optimizer, [param], [[torch.ones(3)]] * 20)
