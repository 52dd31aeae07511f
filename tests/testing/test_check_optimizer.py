"""The optimizers' contract suite passes what is sound and names the clause that is not."""

import math
import random

import pytest
import torch

from equipoise import optimizers
from equipoise.errors import EquipoiseError
from equipoise.optimizers import AdaptiveMomentum
from equipoise.testing import check_optimizer

FLIP = "treats mirror images alike (sign flip)"
PLACES = "commutes with permutations of elements"
LOUD, QUARTER = "ignores the scale of the loss", "undoes a scaled loss by a scaled learning rate"


@pytest.mark.long
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
        for param in self.param_groups[0]["params"]:
            if self.fault == "moves idle" and param.grad is None:
                param.mul_(0.9)
            if param.grad is None:
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
        ("never moves", "converges on a quadratic"),
        ("uphill", "converges on a quadratic"),
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
