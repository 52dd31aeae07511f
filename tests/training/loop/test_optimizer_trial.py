"""The trial of an optimizer names what does not move, repeat or resume, and lets pass what is sound."""

import random
from functools import partial

import pytest
import torch
from torch import nn
from wrapped_optimizer import Wrapped

from equipoise import optimizers
from equipoise.optimizers import schedule
from equipoise.training.loop.optimizer_trial import optimizer_fault, still_parameters

SCHEDULES = {"constant": {}, "cosine": {"warm_up": 0.05}, "one-cycle": {}, "plateau": {}}


def parameters():
    net = nn.Sequential(nn.Conv2d(1, 20, 3), nn.BatchNorm2d(20), nn.Flatten(), nn.Linear(20, 2))
    return dict(net.named_parameters())


def fault(build, name="cosine", over=None):
    named = parameters() if over is None else over
    return optimizer_fault(build, named, lambda optimizer, steps: schedule(name, optimizer, steps, **SCHEDULES[name]))


class Sign(torch.optim.Optimizer):
    """Sign momentum that moves `moved` of its parameters and keeps its momentum where `memory` says."""

    def __init__(self, params, memory="state", moved=lambda _: True, lr=1e-3):
        super().__init__(params, {"lr": lr})
        self.memory, self.moved, self.mine, self.steps = memory, moved, {}, 0

    @torch.no_grad()
    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            for number, param in enumerate(group["params"]):
                if param.grad is None or not self.moved(number):
                    continue
                kept = self.state[param] if self.memory == "state" else self.mine.setdefault(id(param), {})
                kept.setdefault("m", torch.zeros_like(param)).lerp_(param.grad, 0.1)
                step = kept["m"].sign() * (1 + random.random() if self.memory == "random" else 1)
                if self.memory == "counter" and self.steps % 8 == 0:
                    step = step * 2
                param.sub_(step, alpha=group["lr"])


@pytest.mark.long
@pytest.mark.parametrize("name", [*SCHEDULES])
@pytest.mark.parametrize("kind", ["Adam", "SAM", "Muon", "Prodigy", "ScheduleFreeAdamW", "AdaptiveMomentum"])
def test_named_optimizers_pass_under_every_schedule(name, kind):
    assert fault(getattr(optimizers, kind), name) is None


@pytest.mark.parametrize(
    "build",
    [
        Sign,
        Wrapped,
        pytest.param(torch.optim.LBFGS, marks=pytest.mark.long),
        torch.optim.Rprop,
        torch.optim.Adadelta,
        torch.optim.Adafactor,
        partial(torch.optim.Adam, lr=1e-9),
        partial(torch.optim.SGD, lr=1e4, momentum=0.9),
        lambda params: torch.optim.AdamW(params, lr=torch.tensor(1e-3), foreach=False),
    ],
)
def test_sound_optimizers_pass(build):
    assert fault(build) is None


def test_a_memory_beside_the_state_is_named():
    assert "breaks the clause 'resumes bit for bit'" in fault(lambda params: Sign(params, "dict"))
    assert "keep all that it remembers in self.state" in fault(lambda params: Sign(params, "counter"))


def test_chance_of_its_own_is_named_and_torchs_is_not():
    assert "breaks the clause 'repeats bit for bit'" in fault(lambda params: Sign(params, "random"))

    class Noisy(torch.optim.SGD):
        def step(self, closure=None):
            for param in self.param_groups[0]["params"]:
                param.grad.add_(torch.randn_like(param))
            return super().step(closure)

    assert fault(lambda params: Noisy(params, 1e-3)) is None


def test_parameters_that_stand_still_are_named():
    text = fault(lambda params: Sign(params, moved=lambda number: number % 2 == 0))
    assert "breaks the clause 'moves every parameter': 3 of 6 keep their values over 15 steps (0.bias, 1.bias" in text
    over_matrices = fault(lambda params: torch.optim.SGD([param for param in params if param.ndim > 1], 0.1))
    assert "4 of 6 keep their values" in over_matrices


class LookaheadUp(Sign):
    """Sign momentum of the wrong sign that returns halfway to slow weights every `k` steps."""

    def __init__(self, params, k, lr=1e-3):
        super().__init__(params, lr=-lr)
        self.k = k

    @torch.no_grad()
    def step(self, closure=None):
        super().step(closure)
        for param in self.param_groups[0]["params"]:
            kept = self.state[param]
            kept["n"] = kept.get("n", 0) + 1
            slow = kept.setdefault("slow", param.clone())
            if kept["n"] % self.k == 0:
                slow.lerp_(param, 0.5)
                param.copy_(slow)


@pytest.mark.parametrize(
    "build",
    [
        partial(torch.optim.SGD, lr=1e-2, maximize=True),
        partial(torch.optim.SGD, lr=1e-6, momentum=0.99, maximize=True),
        partial(torch.optim.Adam, lr=1e-3, maximize=True),
        partial(torch.optim.AdamW, lr=1e-3, weight_decay=1.0, maximize=True),
        partial(Sign, lr=-1e-3),
        *(partial(LookaheadUp, k=k) for k in (3, 5, 10)),
    ],
)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_rule_of_the_wrong_sign_is_named(build, name):
    assert "breaks the clause 'goes down the gradient': over 15 steps" in fault(build, name)


class Langevin(torch.optim.SGD):
    """Gradient descent with noise, which takes many steps up."""

    @torch.no_grad()
    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for param in group["params"]:
                param.add_(torch.randn_like(param), alpha=(2 * group["lr"]) ** 0.5)


@pytest.mark.parametrize(
    "build",
    [
        *(partial(Langevin, lr=lr) for lr in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)),
        *(partial(torch.optim.SGD, lr=lr, momentum=m) for lr in (1e-3, 0.1, 1, 10, 1e3) for m in (0.9, 0.99, 0.999)),
        *(partial(torch.optim.SGD, lr=lr, momentum=0.99, nesterov=True) for lr in (0.1, 1, 10)),
        *(partial(torch.optim.Adam, lr=lr, betas=(0.99, 0.999)) for lr in (1e-2, 1, 10)),
        partial(torch.optim.AdamW, lr=1e-2, weight_decay=10.0),
    ],
)
def test_rules_that_overshoot_or_wander_go_down(build):
    assert fault(build, "constant") is None


def test_a_learning_rate_of_zero_is_no_fault():
    def grouped(params):
        """Freeze the first half by a learning rate of 0."""
        return torch.optim.SGD([{"params": params[:3], "lr": 0.0}, {"params": params[3:]}], lr=0.1)

    assert fault(grouped) is None
    assert fault(partial(torch.optim.SGD, lr=0.0)) is None


def test_an_optimizer_that_moves_blocks_in_turn_declares_it():
    class Turns(Sign):
        moves_all = False

    build = partial(Turns, moved=lambda number: number == 0)
    assert fault(build) is None
    assert still_parameters(build, parameters(), lambda optimizer, steps: schedule("constant", optimizer, steps)) == []


def test_parameters_of_the_network_stay_as_they_are():
    named = parameters()
    before = {name: value.detach().clone() for name, value in named.items()}
    assert fault(Sign, over=named) is None
    assert all(torch.equal(before[name], value) and value.grad is None for name, value in named.items())


def test_a_rule_for_exact_shapes_is_tried_in_full():
    class Shaped(torch.optim.SGD):
        def step(self, closure=None):
            if self.param_groups[0]["params"][0].shape != (20, 1, 3, 3):
                raise ValueError("not my network")
            return super().step(closure)

    assert fault(lambda params: Shaped(params, 0.1)) is None
