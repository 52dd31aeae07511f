"""Sharpness-aware minimisation against its two printed equations."""

import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.optimizers import SAM


def loss_of(weights: list[torch.Tensor]) -> torch.Tensor:
    return (weights[0] ** 4).sum() + (weights[0].sum() * weights[1]).sin().sum()


def start() -> list[torch.Tensor]:
    return [torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)]


def sam(weights: list[torch.Tensor], **settings) -> tuple[SAM, list[torch.nn.Parameter], list[float]]:
    params, seen = [torch.nn.Parameter(w) for w in weights], []
    optimizer = SAM(params, **settings)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(params)
        loss.backward()
        seen.append(loss.item())
        return loss

    for _ in range(5):
        optimizer.step(closure)
    return optimizer, params, seen


def test_equals_its_equations() -> None:
    rho, lr, weights = 0.1, 0.01, start()
    for _ in range(5):
        weights = [w.detach().requires_grad_() for w in weights]
        grads = torch.autograd.grad(loss_of(weights), weights)
        norm = sum((g**2).sum() for g in grads) ** 0.5
        up = [(w + rho * g / norm).detach().requires_grad_() for w, g in zip(weights, grads, strict=True)]
        weights = [w - lr * g for w, g in zip(weights, torch.autograd.grad(loss_of(up), up), strict=True)]
    _, params, _ = sam(start(), lr=lr, rho=rho, momentum=0.0, nesterov=False)
    for ours, expected in zip(params, weights, strict=True):
        torch.testing.assert_close(ours.detach(), expected.detach(), rtol=1e-9, atol=1e-12)


def test_without_a_distance_it_is_sgd() -> None:
    _, params, _ = sam(start(), lr=0.01, rho=0.0)
    theirs = [torch.nn.Parameter(w) for w in start()]
    sgd = torch.optim.SGD(theirs, 0.01, momentum=0.9, nesterov=True)
    for _ in range(5):
        sgd.zero_grad()
        loss_of(theirs).backward()
        sgd.step()
    assert all(torch.equal(a, b) for a, b in zip(params, theirs, strict=True))


def test_looks_twice_and_returns_the_first_loss() -> None:
    param = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer, losses = SAM([param]), []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (param**2).sum()
        loss.backward()
        losses.append(loss.item())
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert len(losses) == 2
    assert losses[1] > losses[0]


def test_a_later_group_gets_the_distance_too() -> None:
    optimizer = SAM([torch.nn.Parameter(torch.ones(1))], rho=0.2)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    assert [group["rho"] for group in optimizer.param_groups] == [0.2, 0.2]


def test_a_step_without_a_closure_and_a_negative_distance_are_refused() -> None:
    param = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(EquipoiseError, match="closure"):
        SAM([param]).step()
    with pytest.raises(EquipoiseError, match="rho=-1"):
        SAM([param], rho=-1)
