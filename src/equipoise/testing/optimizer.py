"""Contract suite of optimizers: check that one converges, resumes and repeats as a trial assumes."""

import math
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equipoise import optimizers
from equipoise.lookup import resolve
from equipoise.optimizers import schedule
from equipoise.testing import optimizer_rates
from equipoise.testing.optimizer_problems import (
    SHAPE,
    Descent,
    Factory,
    Loss,
    noisy_quadratic,
    quadratic,
    rosenbrock,
)
from equipoise.testing.violation import ContractViolation, as_violation
from equipoise.training.loop import checkpoint
from equipoise.training.loop.optimizer_trial import DESCENDS, MOVES, climbs, still_parameters

LR_SCALES = (1.0, 10.0, 0.1, 100.0, 0.01, 0.001, 0.5, 0.2, 0.05, 0.02, 5.0, 2.0)
"""Multiples of the factory's learning rate at which convergence is tested, in this order."""
STEPS = 40
"""Updates in the runs that are compared with one another."""


_DESCRIBED = "; describes the rule, no trial depends on it"


@dataclass(frozen=True)
class Clause:
    """One property that was checked.

    Attributes:
        name: the property.
        held: whether it holds.
        mandatory: whether a trial depends on it; other clauses only describe.
        detail: the observation.
    """

    name: str
    held: bool
    mandatory: bool
    detail: str = ""


@dataclass
class OptimizerReport:
    """The observations of `check_optimizer`.

    Attributes:
        name: the optimizer's class.
        clauses: in the order they were checked.
    """

    name: str
    clauses: list[Clause] = field(default_factory=list)

    def __getitem__(self, name: str) -> Clause:
        """Return the clause of that name."""
        return next(clause for clause in self.clauses if clause.name == name)

    def __str__(self) -> str:
        def line(clause: Clause) -> str:
            """Describe one clause and whether it held."""
            answer = "yes" if clause.held else "no"
            detail = f" ({clause.detail})" if clause.detail else ""
            return f"{self.name}: {clause.name}: {answer}{detail}{'' if clause.mandatory else _DESCRIBED}"

        return "\n".join(line(clause) for clause in self.clauses)

    def clause(self, name: str) -> AbstractContextManager[None]:
        """Return a block in which any exception breaks the clause of that name."""
        return as_violation(f"{self.name} breaks the clause {name!r}")

    def add(self, name: str, held: bool, detail: str = "", *, mandatory: bool = True) -> None:
        """Record a clause.

        Raises:
            ContractViolation: where a mandatory one does not hold.
        """
        self.clauses.append(Clause(name, held, mandatory, detail))
        if mandatory and not held:
            because = f" ({detail})" if detail else ""
            raise ContractViolation(f"{self.name} breaks the clause {name!r}{because}; correct its step or state.")


def check_optimizer(
    factory: Factory | str | Mapping[str, Any],
    *,
    reference: Factory | None = None,
    tolerance: float = 0.0,
    closed_form: Callable[[int, int], float] | None = None,
) -> OptimizerReport:
    """Check an optimizer against the requirements of a trial, and describe its behaviour.

    Mandatory: it goes down the gradient, converges on a quadratic and on Rosenbrock's function at one of twelve
    learning rates, leaves parameters without gradients alone and moves all others of a group, takes scalars and
    empty tensors, follows the learning rate that a schedule sets in each of its groups, repeats and resumes bit for
    bit, also in the middle of a schedule, and its state survives a trial's checkpoint. Described only: whether it
    treats mirror images alike (sign flip), whether it commutes with a permutation of elements, and what a loss
    multiplied by 4 does.

    Args:
        factory: makes the optimizer from a list of parameters, as `lambda params: Adam(params, lr=1e-3)`; or the
            optimizer as a protocol spells it, "adam", "my_rules:Mine" or {"name": "adam", "lr": 1e-3}.
        reference: makes a slow twin that must take the same steps.
        tolerance: relative difference allowed between the two; 0 requires equal bits.
        closed_form: size of the k-th step under gradients that all equal `sign`: (k = 1, 2, ...; sign = 1 or
            -1) -> expected size, held to a relative 1e-5.

    Returns:
        The clauses, in the order they were checked; `print` shows them.

    Raises:
        ContractViolation: naming the first mandatory clause that does not hold.
    """
    factory, name = _factory(factory)
    with as_violation(f"the optimizer {name} cannot be built"):
        built = factory([torch.nn.Parameter(torch.zeros(2, 2))])
        if not isinstance(built, torch.optim.Optimizer):
            raise ContractViolation(
                f"the optimizer {name} is a {type(built).__name__}; it must be a torch.optim.Optimizer."
            )
    report = OptimizerReport(type(built).__name__)
    with report.clause("has learning rates"):
        report.add("has learning rates", *optimizer_rates.has_rates(factory))
    with report.clause("takes scalars and empty tensors"):
        _leaves_others_alone(report, factory)
    with report.clause(MOVES):
        _moves_all(report, factory)
    _follows_rates(report, factory)
    _converges(report, factory, "converges on a quadratic", quadratic, torch.full((10,), 2.0), 400, 0.01)
    # The valley's floor has a loss of about 4 where the descent enters it, so a loss below 1 (1/24.2 of the start)
    # shows that the optimizer moved along the curved valley and did not only fall into it.
    _converges(report, factory, "converges on Rosenbrock", rosenbrock, torch.tensor([-1.2, 1.0]), 2000, 1 / 24.2)
    with report.clause("repeats bit for bit"):
        _repeats(report, factory)
    _resumes(report, factory)
    if reference is not None:
        _equals(report, factory, reference, tolerance)
    if closed_form is not None:
        _follows(report, factory, closed_form)
    with report.clause("runs on a mirrored, permuted or multiplied problem"):
        _describe(report, factory)
    return report


def _factory(named: Factory | str | Mapping[str, Any]) -> tuple[Factory, str]:
    """Return the factory that a protocol's spelling means, and its name for messages."""
    if callable(named):
        return named, getattr(named, "__name__", repr(named))
    settings = {"name": named} if isinstance(named, str) else dict(named)
    name = str(settings.pop("name", ""))
    optimizer = resolve(name, optimizers, "optimizer", Path.cwd())
    return lambda params: optimizer(params, **settings), name


def _follows_rates(report: OptimizerReport, factory: Factory) -> None:
    """Record whether the learning rates that a schedule sets are followed, in all groups and in each."""
    name = "follows a learning rate that changes"
    with report.clause(name):
        report.add(name, *optimizer_rates.follows_changes(factory))
    name = "follows the learning rate of each group"
    with report.clause(name):
        groups = optimizer_rates.follows_groups(factory)
        if groups is None:
            # Described and not refused: a trial itself makes one group.
            report.add(name, False, "it takes one group only", mandatory=False)
        else:
            report.add(name, *groups)


def _copied(state: Any) -> Any:
    """Return a state as a trial's checkpoint saves and loads it."""
    with tempfile.TemporaryDirectory(prefix="equipoise-") as folder:
        checkpoint.save(Path(folder), 1, {"state": state})
        loaded = checkpoint.load_latest(Path(folder))
    if loaded is None:
        raise ContractViolation("the checkpoint of its state cannot be read again")
    return loaded["state"]


def _leaves_others_alone(report: OptimizerReport, factory: Factory) -> None:
    scalar, empty, idle = (torch.nn.Parameter(torch.ones(shape)) for shape in ((), (0,), (3,)))
    both = [scalar, empty, idle]
    descent = Descent(scalar, factory(both))
    before = idle.detach().clone()
    for _ in range(3):
        empty.grad = torch.zeros(0)
        descent.run(lambda theta, _: (theta**2).sum() + (both[1] ** 2).sum(), 1)
    report.add("takes scalars and empty tensors", bool(scalar.isfinite()), f"the scalar is {scalar.item():g}")
    report.add("leaves parameters without gradients alone", torch.equal(before, idle.detach()))


def _moves_all(report: OptimizerReport, factory: Factory) -> None:
    """Record whether all parameters of one group move: scalars, vectors, matrices and kernels."""
    shapes = ((), (6,), (5, 8), (4, 3, 3, 3), (1,), (8, 5), (6,))
    draws = torch.Generator().manual_seed(4)
    values = [torch.nn.Parameter(1e-3 * torch.randn(shape, generator=draws)) for shape in shapes]
    params = {f"{list(value.shape)} as number {number}": value for number, value in enumerate(values)}

    def constant(optimizer: torch.optim.Optimizer, steps: int) -> Any:
        """Keep the learning rates."""
        return schedule("constant", optimizer, steps)

    still = still_parameters(factory, params, constant)
    report.add(MOVES, not still, f"those of shape {', '.join(still)} keep their values" if still else "")
    fresh = {name: torch.nn.Parameter(value.detach().clone()) for name, value in params.items()}
    with report.clause(DESCENDS):
        up = climbs(factory, fresh, constant)
        report.add(DESCENDS, not up, "its steps on a convex function follow the gradient upwards" if up else "")


def _converges(
    report: OptimizerReport, factory: Factory, name: str, loss: Loss, start: Tensor, steps: int, share: float
) -> None:
    """Record whether the loss falls below a fraction of its start at one of the learning rates."""
    # Several learning rates, because the factory's one fits a network and need not fit a quadratic.
    first = float(loss(start, 0))
    best, at = math.inf, 1.0
    for scale in LR_SCALES:
        with report.clause(name):
            last = float(loss(Descent.start(factory, start, scale).run(loss, steps, anneal=True), 0))
        if last < best:
            best, at = last, scale
        if best < share * first:
            break
    detail = f"from {first:.3g} to {best:.2g} in {steps} steps at {at:g} times the learning rate"
    report.add(name, best < share * first, detail)


def _repeats(report: OptimizerReport, factory: Factory) -> None:
    whole = Descent.start(factory, _start()).run(noisy_quadratic, 2 * STEPS)
    again = Descent.start(factory, _start()).run(noisy_quadratic, 2 * STEPS)
    report.add("repeats bit for bit", torch.equal(whole, again))


def _resumes(report: OptimizerReport, factory: Factory) -> None:
    first = Descent.start(factory, _start())
    first.run(noisy_quadratic, STEPS)
    name = "state survives saving and loading"
    with report.clause(name):
        second = Descent.start(factory, first.param.detach())
        second.optimizer.load_state_dict(_copied(first.optimizer.state_dict()))
        second.steps = first.steps
        report.add(name, _same(first.optimizer.state_dict(), second.optimizer.state_dict()))
    name = "resumes bit for bit"
    with report.clause(name):
        first.run(noisy_quadratic, STEPS)
        resumed = second.run(noisy_quadratic, STEPS)
        # Compared with a run that was paused but not saved: switching between training and evaluation weights may round
        # (schedule-free), so an uninterrupted run may differ in the last bit.
        paused = Descent(first.param, first.optimizer, first.steps).param.detach()
        report.add(name, torch.equal(second.param.detach(), paused) and bool(resumed.isfinite().all()))
    name = "resumes bit for bit while the learning rate changes"
    with report.clause(name):
        report.add(name, *optimizer_rates.resumes_under_schedule(factory, _copied))


def _equals(report: OptimizerReport, factory: Factory, reference: Factory, tolerance: float) -> None:
    fast = Descent.start(factory, _start()).run(noisy_quadratic, 2 * STEPS)
    slow = Descent.start(reference, _start()).run(noisy_quadratic, 2 * STEPS)
    worst = float(((fast - slow).abs() / slow.abs().clamp(min=1e-6)).max())
    report.add("equals its slow reference", worst <= tolerance, f"largest relative difference {worst:.2g}")


def _follows(report: OptimizerReport, factory: Factory, closed_form: Callable[[int, int], float]) -> None:
    """Compare step sizes under equal signs with the closed form; the parameter is reset to 0 before every step."""
    worst = 0.0
    for sign in (1, -1):
        descent = Descent.start(factory, torch.zeros(20))
        for k in range(1, STEPS + 1):
            with torch.no_grad():
                descent.param.zero_()
            descent.take(lambda theta, _, sign=sign: sign * theta.sum())  # type: ignore[misc]
            expected = -sign * closed_form(k, sign)
            worst = max(worst, float((descent.param.detach() / expected - 1).abs().max()))
    report.add("follows its closed form under equal signs", worst < 1e-5, f"largest relative error {worst:.2g}")


def _describe(report: OptimizerReport, factory: Factory) -> None:
    """Record how the optimizer's steps change when the problem is mirrored, permuted or multiplied."""
    start = _start()
    plain = Descent.start(factory, start).run(noisy_quadratic, STEPS)

    mirrored = Descent.start(factory, -start).run(lambda theta, step: noisy_quadratic(-theta, step), STEPS)
    report.add("treats mirror images alike (sign flip)", *_alike(-mirrored, plain), mandatory=False)

    order = torch.randperm(start.numel(), generator=torch.Generator().manual_seed(1))
    back = torch.argsort(order)

    def permuted(theta: Tensor, step: int) -> Tensor:
        """The same problem with its parameters in another order."""
        return noisy_quadratic(theta.flatten()[back].view(SHAPE), step)

    moved = Descent.start(factory, start.flatten()[order].view(SHAPE)).run(permuted, STEPS)
    same = _alike(moved.flatten()[back].view(SHAPE), plain)
    report.add("commutes with permutations of elements", *same, mandatory=False)

    def louder(theta: Tensor, step: int) -> Tensor:
        """The same problem with its loss times four."""
        return 4 * noisy_quadratic(theta, step)

    scaled = _alike(Descent.start(factory, start).run(louder, STEPS), plain)
    report.add("ignores the scale of the loss", *scaled, mandatory=False)
    rescaled = _alike(Descent.start(factory, start, 0.25).run(louder, STEPS), plain)
    report.add("undoes a scaled loss by a scaled learning rate", *rescaled, mandatory=False)


def _alike(a: Tensor, b: Tensor) -> tuple[bool, str]:
    if torch.equal(a, b):
        return True, "to the last bit"
    worst = float((a - b).abs().max())
    return worst < 1e-4, f"largest difference {worst:.2g}"


def _start() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


def _same(a: Any, b: Any) -> bool:
    """Whether two nested states hold equal values of equal types."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
