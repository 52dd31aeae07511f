"""Recorded gradients, and a way to feed them to an optimizer."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

Stream = Callable[..., list[Tensor]]
Drive = Callable[[torch.optim.Optimizer, Sequence[Tensor], Sequence[Sequence[Tensor]]], None]


@pytest.fixture(scope="session")
def stream() -> Stream:
    """(shape, steps, seed=0) -> gradients with a drift, noise, and a tenth of exact zeros."""

    def make(shape: tuple[int, ...], steps: int, seed: int = 0) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        drift = torch.randn(shape, generator=generator)
        noise = (torch.randn((steps, *shape), generator=generator) + 0.5 * drift).unbind()
        return [grad * (torch.rand(shape, generator=generator) > 0.1) for grad in noise]

    return make


@pytest.fixture(scope="session")
def drive() -> Drive:
    """(optimizer, parameters, gradients[t][i]) -> takes a step for every t."""

    def feed(optimizer, params, gradients) -> None:
        for grads in gradients:
            for param, grad in zip(params, grads, strict=True):
                param.grad = None if grad is None else grad.clone()
            optimizer.step()

    return feed
