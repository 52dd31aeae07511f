"""A loaded optimizer goes on under its schedule, also one that wraps another."""

import pytest
import torch
from wrapped_optimizer import Wrapped

from equipoise.errors import EquipoiseError
from equipoise.optimizers import schedule
from equipoise.training.loop.optimizer_state import load_optimizer


class Deaf(torch.optim.SGD):
    """An optimizer whose state has the learning rate, but which does not take it up."""

    def load_state_dict(self, state_dict):
        kept = self.param_groups[0]["lr"]
        super().load_state_dict(state_dict)
        self.param_groups[0]["lr"] = kept


def steps(optimizer, param, rates, count):
    for _ in range(count):
        optimizer.zero_grad()
        (param**2).sum().backward()
        optimizer.step()
        rates.step()


@pytest.mark.parametrize("kind", [Wrapped, torch.optim.SGD, torch.optim.Adam])
def test_resumed_under_a_schedule_it_goes_on_as_if_nothing_had_happened(kind):
    whole = torch.nn.Parameter(torch.tensor([2.0]))
    straight = kind([whole], lr=0.1)
    rates = schedule("cosine", straight, 10)
    steps(straight, whole, rates, 5)
    saved = (straight.state_dict(), rates.state_dict(), whole.detach().clone())
    saved = torch.utils._pytree.tree_map(lambda x: x.clone() if isinstance(x, torch.Tensor) else x, saved)
    steps(straight, whole, rates, 5)

    param = torch.nn.Parameter(saved[2])
    resumed = kind([param], lr=0.1)
    rates = schedule("cosine", resumed, 10)
    load_optimizer(resumed, saved[0])
    rates.load_state_dict(saved[1])
    steps(resumed, param, rates, 5)
    assert torch.equal(param, whole)


def test_a_learning_rate_that_a_load_loses_is_told():
    first = Deaf([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    first.param_groups[0]["lr"] = 0.025
    with pytest.raises(EquipoiseError, match=r"learning rate of 0\.1 in group 0 in place of the saved 0\.025"):
        load_optimizer(Deaf([torch.nn.Parameter(torch.ones(1))], lr=0.1), first.state_dict())


def test_whatever_a_load_raises_is_one_sentence():
    class Broken(torch.optim.SGD):
        def load_state_dict(self, state_dict):
            raise KeyError("step")

    optimizer = Broken([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    with pytest.raises(EquipoiseError, match="cannot load the state that it saved"):
        load_optimizer(optimizer, optimizer.state_dict())
