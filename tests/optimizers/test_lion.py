"""Lion against the literal lines of its paper's algorithm 2."""

import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.optimizers import Lion


def test_equals_the_algorithm_as_printed(stream, drive) -> None:
    grads = [grad.double() for grad in stream((50,), 40)]
    lr, beta1, beta2, decay = 0.01, 0.9, 0.99, 0.1
    theta, m = torch.ones(50, dtype=torch.float64), torch.zeros(50, dtype=torch.float64)
    for g in grads:
        c = beta1 * m + (1 - beta1) * g
        theta = theta - lr * (torch.sign(c) + decay * theta)
        m = beta2 * m + (1 - beta2) * g
    param = torch.nn.Parameter(torch.ones(50, dtype=torch.float64))
    drive(Lion([param], lr, (beta1, beta2), decay), [param], [[grad] for grad in grads])
    torch.testing.assert_close(param.detach(), theta, rtol=1e-12, atol=1e-12)


def test_returns_the_loss_of_its_closure() -> None:
    param = torch.nn.Parameter(torch.ones(1))
    assert Lion([param]).step(lambda: 3.0) == 3.0


@pytest.mark.parametrize("settings", [{"lr": -1.0}, {"betas": (0.9, 1.0)}, {"weight_decay": -0.1}])
def test_settings_out_of_range_are_refused(settings) -> None:
    with pytest.raises(EquipoiseError, match="Lion got"):
        Lion([torch.zeros(1)], **settings)
