"""The optimizers' contract suite passes what is sound and names the clause that is not."""

import copy
import math
import random

import pytest
import torch
from wrapped_optimizer import Wrapped

from equipoise import optimizers
from equipoise.errors import EquipoiseError
from equipoise.optimizers import AdaptiveMomentum
from equipoise.testing import check_optimizer, optimizer_rates

FLIP = "treats mirror images alike (sign flip)"
PLACES = "commutes with permutations of elements"
LOUD, QUARTER = "ignores the scale of the loss", "undoes a scaled loss by a scaled learning rate"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in optimizers.__all__ if name != "AdaptiveMomentum"])
def test_every_named_peer_keeps_the_contract(name) -> None:
    report = check_optimizer(lambda params: getattr(optimizers, name)(params))
    assert all(clause.held for clause in report.clauses if clause.mandatory)
    assert report[FLIP].held
    assert report[PLACES].held == (name != "Muon")
    scale_free = name not in ("SGD", "Momentum", "SAM")
    assert report[LOUD].held == scale_free
    assert report[QUARTER].held != scale_free


@pytest.mark.long
@pytest.mark.parametrize("rule", ["paper", "bounded", "agreement", "adam"])
@pytest.mark.parametrize("per", ["element", "tensor"])
def test_every_member_of_the_family_keeps_the_contract(rule, per) -> None:
    if per == "tensor" and rule in ("paper", "bounded"):
        return  # the rule has no rates per tensor

    def size(k: int, sign: int) -> float:
        """The k-th rate: literal rules follow the sign, the others the agreement of equal signs."""
        start, kappa = {"adam": 1e-3}.get(rule, 0.1), {"paper": 1e-3}.get(rule, 0.1 if per == "tensor" else 0.02)
        limit = math.inf if rule == "paper" else math.floor(math.log(10) / kappa)
        return start * math.exp((-sign if rule in ("paper", "bounded") else 1) * kappa * min(k - 1, limit))

    report = check_optimizer(
        lambda params: AdaptiveMomentum(params, rule=rule, per=per),
        reference=lambda params: AdaptiveMomentum(params, rule=rule, per=per, path="loop"),
        closed_form=size,
    )
    assert all(clause.held for clause in report.clauses if clause.mandatory)
    # the literal sign treats the two directions differently, by design; agreement does not
    assert report[FLIP].held == (rule in ("agreement", "adam"))
    assert report[PLACES].held
    assert report[LOUD].held == (rule == "adam")
    assert report[QUARTER].held == (rule != "adam")
    assert f"{FLIP}: {'yes' if report[FLIP].held else 'no'}" in str(report)


class Broken(torch.optim.SGD):
    """SGD with one fault."""

    def __init__(self, params, fault: str) -> None:
        super().__init__(params, lr=0.01)
        self.fault, self.hidden = fault, 1.0

    @torch.no_grad()
    def step(self, closure=None):
        for number, param in enumerate(self.param_groups[0]["params"]):
            if self.fault == "moves idle" and param.grad is None:
                param.mul_(0.9)
            if param.grad is None:
                continue
            if self.fault == "every second" and number % 2:
                param.grad = None
                continue
            if self.fault == "never moves":
                param.grad.zero_()
            if self.fault == "uphill":
                param.grad.neg_()
            if self.fault == "random":
                param.grad.mul_(1 + 0.01 * random.random())
            if self.fault == "hidden state":
                self.hidden *= 0.999
                param.grad.mul_(self.hidden)
            if self.fault == "unloadable":
                self.state[param]["count"] = torch.ones(1, dtype=torch.int64)
        super().step()


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "clause"),
    [
        ("moves idle", "leaves parameters without gradients alone"),
        ("every second", "moves every parameter"),
        ("never moves", "converges on a quadratic"),
        ("uphill", "goes down the gradient"),
        ("random", "repeats bit for bit"),
        ("hidden state", "resumes bit for bit"),
        ("unloadable", "state survives saving and loading"),
    ],
)
def test_a_fault_is_named_by_its_clause(fault, clause) -> None:
    with pytest.raises(EquipoiseError, match=f"Broken breaks the clause '{clause}'"):
        check_optimizer(lambda params: Broken(params, fault))


@pytest.mark.long
def test_a_twin_that_goes_another_way_is_found() -> None:
    with pytest.raises(EquipoiseError, match="equals its slow reference"):
        check_optimizer(
            lambda params: torch.optim.SGD(params, 0.01), reference=lambda params: torch.optim.SGD(params, 0.011)
        )


@pytest.mark.long
def test_a_small_difference_may_be_allowed() -> None:
    report = check_optimizer(
        lambda params: torch.optim.SGD(params, 0.01),
        reference=lambda params: torch.optim.SGD(params, 0.01 * (1 + 1e-9)),
        tolerance=1e-3,
    )
    assert report["equals its slow reference"].held


@pytest.mark.long
def test_a_wrong_closed_form_is_found() -> None:
    with pytest.raises(EquipoiseError, match="follows its closed form"):
        check_optimizer(lambda params: torch.optim.SGD(params, 0.01), closed_form=lambda k, sign: 0.01 * k)


class Cached(torch.optim.Adam):
    """Steps with the learning rate of its construction."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, lr=lr)
        self.kept = lr

    def step(self, closure=None):
        for group in self.param_groups:
            group["lr"] = self.kept
        return super().step(closure)


class Blind(torch.optim.SGD):
    """Steps with the learning rate of its construction, and leaves that of its groups as it is."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, lr=lr)
        self.kept = lr

    def step(self, closure=None):
        before = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] = self.kept
        super().step(closure)
        for group, lr in zip(self.param_groups, before, strict=True):
            group["lr"] = lr


class OneGroup(torch.optim.Optimizer):
    """Steps every group with the learning rate of one of them."""

    def __init__(self, params, which=0):
        super().__init__(params, {"lr": 0.05})
        self.which = which

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    param.sub_(param.grad, alpha=self.param_groups[self.which]["lr"])


class Rateless(torch.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {"speed": 0.1})

    def step(self, closure=None):
        return None


class Subclassed(torch.Tensor):
    """As the states of 8-bit optimizers: more than its values."""


class EightBit(torch.optim.SGD):
    def step(self, closure=None):
        super().step(closure)
        for param in self.param_groups[0]["params"]:
            self.state[param]["codes"] = torch.zeros(4, dtype=torch.uint8).as_subclass(Subclassed)


@pytest.mark.parametrize(
    ("kind", "clause"),
    [
        (Cached, "follows a learning rate that changes"),
        (Blind, "follows a learning rate that changes"),
        (torch.optim.Rprop, "follows a learning rate that changes"),
        (OneGroup, "follows the learning rate of each group"),
        (lambda params: OneGroup(params, -1), "follows the learning rate of each group"),
        (Rateless, "has learning rates"),
    ],
)
def test_a_learning_rate_that_is_not_followed_is_named(kind, clause) -> None:
    with pytest.raises(EquipoiseError, match=f"breaks the clause '{clause}'"):
        check_optimizer(kind)


def test_stale_groups_after_a_load_are_named() -> None:
    ended, detail = optimizer_rates.resumes_under_schedule(Wrapped, copy.deepcopy)
    assert not ended
    assert "learning rate 0.1 after a load, and had 0.05" in detail
    assert optimizer_rates.resumes_under_schedule(torch.optim.Adam, copy.deepcopy)[0]


@pytest.mark.long
def test_a_state_that_no_checkpoint_can_hold_is_named() -> None:
    with pytest.raises(EquipoiseError, match="'state survives saving and loading'.*cannot hold the Subclassed"):
        check_optimizer(lambda params: EightBit(params, 0.01))


def test_whatever_it_raises_is_one_sentence_with_its_clause() -> None:
    class Raises(torch.optim.SGD):
        def step(self, closure=None):
            raise ZeroDivisionError("float division by zero")

    with pytest.raises(EquipoiseError, match="'takes scalars and empty tensors': ZeroDivisionError"):
        check_optimizer(lambda params: Raises(params, 0.1))
    with pytest.raises(EquipoiseError, match="cannot be built: TypeError"):
        check_optimizer(lambda params, lr: None)
    with pytest.raises(EquipoiseError, match="is a dict; it must be"):
        check_optimizer(lambda params: {})


@pytest.mark.long
def test_the_protocols_spelling_is_taken() -> None:
    assert check_optimizer({"name": "sgd", "lr": 0.01}).name == "SGD"
    with pytest.raises(EquipoiseError, match="did you mean 'adam'"):
        check_optimizer("adamm")


def test_a_wrong_sign_is_named_before_all_that_follows_from_it():
    with pytest.raises(EquipoiseError, match="'goes down the gradient' .*follow the gradient upwards"):
        check_optimizer(lambda params: torch.optim.Adam(params, lr=1e-3, maximize=True))


def test_the_report_says_which_properties_no_trial_depends_on():
    lines = str(check_optimizer(lambda params: torch.optim.SGD(params, lr=1e-2))).splitlines()
    (scale,) = (line for line in lines if "ignores the scale of the loss" in line)
    assert ": no (" in scale
    assert scale.endswith("; describes the rule, no trial depends on it")
    assert not any("describes" in line for line in lines if "resumes" in line or "goes down" in line)
