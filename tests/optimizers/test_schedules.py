"""Schedules against torch's own, and resumed in mid-course."""

import math
import warnings

import pytest
import torch
from torch.optim import lr_scheduler

from equipoise.errors import EquipoiseError
from equipoise.optimizers import Adagrad, after_validation, schedule

NAMES = ["constant", "cosine", "poly", "one-cycle", "step", "warm-up", "plateau"]
TOTAL = 40


def sgd(lr: float = 0.5) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.ones(1))]}], lr=lr)


def course(optimizer: torch.optim.Optimizer, scheduler, steps: int = TOTAL) -> list[float]:
    """The learning rate of every step."""
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("name", "settings", "peer"),
    [
        ("constant", {}, lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        ("cosine", {}, lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL)),
        ("cosine", {"floor": 0.2}, lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL, eta_min=0.1)),
        ("poly", {}, lambda o: lr_scheduler.PolynomialLR(o, TOTAL, power=0.9)),
        ("poly", {"power": 2.0}, lambda o: lr_scheduler.PolynomialLR(o, TOTAL, power=2.0)),
        ("one-cycle", {}, lambda o: lr_scheduler.OneCycleLR(o, 0.5, TOTAL, cycle_momentum=False)),
        (
            "one-cycle",
            {"rise": 0.5, "start": 10.0, "end": 100.0},
            lambda o: lr_scheduler.OneCycleLR(
                o, 0.5, TOTAL, pct_start=0.5, div_factor=10.0, final_div_factor=100.0, cycle_momentum=False
            ),
        ),
        ("step", {}, lambda o: lr_scheduler.MultiStepLR(o, [20, 30])),
        ("step", {"at": [0.25], "factor": 0.5}, lambda o: lr_scheduler.MultiStepLR(o, [10], gamma=0.5)),
        ("warm-up", {"warm_up": 0.25}, lambda o: lr_scheduler.LinearLR(o, 0.1, 1.0, 9)),
    ],
)
def test_courses_equal_torchs(name, settings, peer) -> None:
    ours, theirs = sgd(), sgd()
    expected = course(theirs, peer(theirs))
    assert course(ours, schedule(name, ours, TOTAL, **settings)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_cosine_may_begin_with_a_warm_up() -> None:
    optimizer = sgd()
    rates = course(optimizer, schedule("cosine", optimizer, TOTAL, warm_up=0.25))
    assert rates[:10] == pytest.approx([0.05 * (i + 1) for i in range(10)])
    assert rates[10:] == pytest.approx([0.25 * (1 + math.cos(math.pi * i / 30)) for i in range(30)])


def test_plateau_falls_when_torchs_does() -> None:
    losses = [1.0, 0.9, 0.91, 0.95, 0.9, 0.9, 0.9, 0.5, math.nan, math.nan, 0.6, 0.7, 0.8, 0.7]
    ours, theirs = sgd(), sgd()
    plateau = schedule("plateau", ours, TOTAL, factor=0.3, patience=2)
    peer = lr_scheduler.ReduceLROnPlateau(theirs, factor=0.3, patience=2)
    for loss in losses:
        ours.step()
        plateau.step()
        after_validation(plateau, loss)
        peer.step(loss)
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
    assert ours.param_groups[0]["lr"] == pytest.approx(0.5 * 0.3**3)


@pytest.mark.parametrize("name", NAMES)
def test_resumes_in_mid_course(name) -> None:
    def go(optimizer, scheduler, epochs: range) -> list[float]:
        rates = []
        for epoch in epochs:
            rates += course(optimizer, scheduler, 4)
            after_validation(scheduler, 1.0 + epoch)
        return rates

    whole = sgd()
    expected = go(whole, schedule(name, whole, TOTAL), range(10))
    first = sgd()
    scheduler = schedule(name, first, TOTAL)
    rates = go(first, scheduler, range(5))
    second = sgd()
    resumed = schedule(name, second, TOTAL)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    rates += go(second, resumed, range(5, 10))
    assert rates == expected


@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_takes_any_optimizer_one_step_and_a_validation(name) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = Adagrad([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        scheduler = schedule(name, optimizer, 1)
        assert course(optimizer, scheduler, 1)[0] > 0
        after_validation(scheduler, 1.0)
        after_validation(None, 1.0)


def test_groups_keep_the_ratio_of_their_rates() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups)
    scheduler = schedule("cosine", optimizer, TOTAL)
    course(optimizer, scheduler, 13)
    large, small = (group["lr"] for group in optimizer.param_groups)
    assert small == pytest.approx(large / 10)


@pytest.mark.parametrize(
    ("name", "steps", "settings", "sentence"),
    [
        ("cosin", 10, {}, "'cosin' is unknown; choose one of constant, cosine"),
        ("cosine", 0, {}, "was given 0 steps"),
        ("step", 10, {"gamma": 0.1}, "'step' cannot be set so .*gamma"),
    ],
)
def test_what_cannot_work_is_refused(name, steps, settings, sentence) -> None:
    with pytest.raises(EquipoiseError, match=sentence):
        schedule(name, sgd(), steps, **settings)
