import math

import pytest
import torch

from equipoise.optimizers import AdaptiveMomentum
from equipoise.training.loop.diagnostics import Observation, gradient_norm


def parameters() -> list[torch.nn.Parameter]:
    made = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))]
    made[0].grad, made[1].grad = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 4.0])
    return made


def test_the_norm_is_over_all_gradients_there_are() -> None:
    assert gradient_norm(parameters()).item() == pytest.approx(5.0)


def scaled(factor: float) -> list[torch.nn.Parameter]:
    made = parameters()
    for parameter in made[:2]:
        parameter.grad *= factor
    return made


def test_a_step_that_looks_twice_counts_its_first_gradient() -> None:
    seen = Observation(epoch=0, steps=2)
    assert math.isnan(seen.mean_norm)
    optimizer = torch.optim.SGD(parameters())
    for factors in ((1.0, 9.0), (3.0, 9.0)):
        for factor in factors:
            seen.gradient(scaled(factor))
        seen.step(optimizer)
    assert seen.norms == pytest.approx([5.0, 15.0])
    assert seen.mean_norm == pytest.approx(10.0)
    assert seen.rates == []
    assert (seen.updates, seen.evaluations) == (2, 4)


@pytest.mark.parametrize("steps", [1, 16, 17, 100, 1000])
def test_a_long_epoch_is_looked_at_a_few_times_from_its_first_step_on(steps: int) -> None:
    seen = Observation(epoch=0, steps=steps)
    optimizer = torch.optim.SGD(parameters())
    for number in range(steps):
        seen.gradient(scaled(float(number)))
        seen.step(optimizer)
    assert seen.norms[0] == 0.0
    assert min(steps, 8) <= len(seen.norms) <= 16


@pytest.mark.parametrize(
    ("steps", "epochs"), [(8, [2.25, 2.5, 2.75, 3.0]), (4, [2.25, 2.5, 2.75, 3.0]), (2, [2.5, 3.0])]
)
def test_rates_are_told_four_times_an_epoch_the_last_at_its_end(steps: int, epochs: list[float]) -> None:
    seen = Observation(epoch=2, steps=steps)
    optimizer = AdaptiveMomentum(parameters(), lr=0.1, rule="bounded")
    for _ in range(steps):
        optimizer.step()
        seen.step(optimizer)
    assert [row["epoch"] for row in seen.rates] == epochs
    last = seen.rates[-1]
    assert last["lr"] == 0.1
    assert last["rate_0"] == pytest.approx(0.1 * math.exp(-0.02 * steps))
    assert last["rate_1"] == pytest.approx(0.1)
    assert last["beta_0"] == pytest.approx(0.2 * steps)
