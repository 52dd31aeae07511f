"""Whether an optimizer follows the learning rates of its groups, as a schedule and a resumed trial set them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from equipoise.optimizers.requirements import eval_mode, train_mode
from equipoise.optimizers.schedules import schedule
from equipoise.testing.optimizer_problems import SHAPE, Descent, Factory, noisy_quadratic
from equipoise.testing.violation import described

STEPS = 20
"""Updates before and after a change."""
Verdict = tuple[bool, str]


def steady(theta: Tensor, step: int = 0) -> Tensor:
    """Return a loss whose gradient is the same everywhere, so that a step's size tells the learning rate."""
    del step
    value: Tensor = (torch.linspace(0.5, 1.5, theta.numel()).view(theta.shape) * theta).sum()
    return value


def has_rates(factory: Factory) -> Verdict:
    """Whether every group has a learning rate under the name that schedules set."""
    optimizer = factory([torch.nn.Parameter(torch.zeros(SHAPE))])
    lacking = [number for number, group in enumerate(optimizer.param_groups) if "lr" not in group]
    return not lacking, "every group of parameters needs an entry 'lr'" if lacking else ""


def follows_changes(factory: Factory) -> Verdict:
    """Whether steps shrink when all learning rates fall to a quarter, and the optimizer leaves the rates as set."""
    after = {}
    for factor in (1.0, 0.25):
        descent = Descent.start(factory, torch.zeros(SHAPE))
        before = descent.run(steady, STEPS)
        rates = [float(group["lr"]) * factor for group in descent.optimizer.param_groups]
        for group, rate in zip(descent.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        after[factor] = float((descent.run(steady, STEPS) - before).norm())
        kept = [float(group["lr"]) for group in descent.optimizer.param_groups]
        if kept != rates:
            return False, f"a learning rate set to {rates[0]:g} is {kept[0]:g} after a step"
    share = after[0.25] / max(after[1.0], 1e-30)
    return share < 0.75, f"at a quarter of the learning rate {STEPS} steps move it {share:.2g} times as far"


def follows_groups(factory: Factory) -> Verdict | None:
    """Whether a group whose learning rate is zero stays; None where the optimizer takes one group only."""
    try:
        moved = _moves(factory, None)
    # Of any kind: an optimizer for one group (L-BFGS) may say so at its first step only.
    except Exception:
        return None
    for still in (0, 1):
        stopped = _moves(factory, still)
        if moved is None or stopped is None:
            return None
        if stopped[still] > 0.1 * moved[still]:
            return False, f"group {still} of two moves by {stopped[still]:.2g} at its learning rate of 0"
        if stopped[1 - still] == 0 < moved[1 - still]:
            return False, f"group {1 - still} of two does not move, though only the other's learning rate is 0"
    return True, ""


def _moves(factory: Factory, still: int | None) -> list[float] | None:
    """Return how far two parameters in groups of their own move; the rate of group `still` is zero."""
    params = [torch.nn.Parameter(torch.zeros(SHAPE)) for _ in range(2)]
    optimizer = _in_groups(factory, params)
    if optimizer is None:
        return None
    if still is not None:
        optimizer.param_groups[still]["lr"] = 0.0
    descent = Descent(params[0], optimizer)
    train_mode(optimizer)
    for _ in range(STEPS):
        descent.take(lambda theta, step: steady(theta, step) + steady(params[1], step))
    eval_mode(optimizer)
    return [float(param.detach().norm()) for param in params]


def _in_groups(factory: Factory, params: list[torch.nn.Parameter]) -> Optimizer | None:
    """Build an optimizer with one group for each of two parameters; None where it takes one group only."""

    def at_once() -> Optimizer:
        """Pass both groups to the factory."""
        groups: Any = [{"params": [param]} for param in params]
        return factory(groups)

    def added() -> Optimizer:
        """Add the second group to an optimizer of the first."""
        optimizer = factory(params[:1])
        optimizer.add_param_group({"params": params[1:]})
        return optimizer

    ways: tuple[Callable[[], Optimizer], ...] = (at_once, added)
    for way in ways:
        try:
            optimizer = way()
        # Of any kind: what a factory raises that was written for a list of parameters, not of groups.
        except Exception:  # noqa: S112
            continue
        held = [[param for param in group["params"] if isinstance(param, Tensor)] for group in optimizer.param_groups]
        if [len(group) for group in held] == [1, 1] and all(h[0] is p for h, p in zip(held, params, strict=True)):
            return optimizer
    return None


def resumes_under_schedule(factory: Factory, copied: Callable[[Any], Any]) -> Verdict:
    """Whether an optimizer resumed in the middle of a schedule goes on as one that was not interrupted.

    copied: saves a state and returns what is loaded. As in a trial, the schedule of the resumed optimizer exists before
    the state is loaded.
    """
    start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    first = Descent.start(factory, start)
    rates = schedule("cosine", first.optimizer, 2 * STEPS)
    _scheduled(first, rates)
    saved = copied({"optimizer": first.optimizer.state_dict(), "schedule": rates.state_dict()})
    second = Descent.start(factory, first.param.detach())
    resumed = schedule("cosine", second.optimizer, 2 * STEPS)
    try:
        second.optimizer.load_state_dict(saved["optimizer"])
    except Exception as error:
        return False, described(error)
    resumed.load_state_dict(saved["schedule"])
    second.steps = first.steps
    before, now = ([float(group["lr"]) for group in d.optimizer.param_groups] for d in (first, second))
    if before != now:
        return False, f"its groups have the learning rate {now[0]:g} after a load, and had {before[0]:g} when saved"
    ends = [_scheduled(descent, one) for descent, one in ((first, rates), (second, resumed))]
    worst = float((ends[0] - ends[1]).abs().max())
    return torch.equal(*ends), f"largest difference {worst:.2g} after {STEPS} more steps of a cosine schedule"


def _scheduled(descent: Descent, rates: LRScheduler) -> Tensor:
    """Take steps under a schedule; return the weights for training after them."""
    train_mode(descent.optimizer)
    for _ in range(STEPS):
        descent.take(noisy_quadratic)
        rates.step()
    eval_mode(descent.optimizer)
    train_mode(descent.optimizer)
    return descent.param.detach().clone()
