"""What the loop learns about an optimizer, also about one it has never seen."""

import pytest
import torch

from equipoise import optimizers
from equipoise.optimizers import eval_mode, needs_batchnorm_recalibration, needs_closure, train_mode


@pytest.mark.parametrize("name", optimizers.__all__)
def test_needs_of_every_optimizer_by_name(name) -> None:
    optimizer = getattr(optimizers, name)([torch.nn.Parameter(torch.ones(2))], lr=1e-3)
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert needs_closure(optimizer) == (name == "SAM")
    assert needs_batchnorm_recalibration(optimizer) == (name == "ScheduleFreeAdamW")


def test_an_unknown_optimizer_that_cannot_step_without_a_closure() -> None:
    assert needs_closure(torch.optim.LBFGS([torch.nn.Parameter(torch.ones(2))]))


def test_a_scheduler_does_not_hide_the_need() -> None:
    optimizer = torch.optim.LBFGS([torch.nn.Parameter(torch.ones(2))])
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    assert needs_closure(optimizer)


def test_an_optimizer_may_state_its_needs() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))])
    optimizer.needs_closure, optimizer.needs_batchnorm_recalibration = True, True
    assert needs_closure(optimizer)
    assert needs_batchnorm_recalibration(optimizer)


def test_modes_are_switched_where_there_are_any() -> None:
    param = torch.nn.Parameter(torch.ones(3))
    averaging = optimizers.ScheduleFreeAdamW([param], lr=0.5)
    train_mode(averaging)
    for _ in range(3):
        param.grad = torch.ones(3)
        averaging.step()
    training = param.detach().clone()
    eval_mode(averaging)
    assert not torch.equal(param.detach(), training)
    train_mode(averaging)
    torch.testing.assert_close(param.detach(), training)
    plain = torch.optim.SGD([param])
    train_mode(plain)
    eval_mode(plain)
