"""Try whether an optimizer descends, moves every parameter, repeats its steps and resumes bit for bit.

The gradients are those of a simple function and not of the network, so that a trial of any network takes milliseconds
and a difference is the optimizer's own. `preflight` tries the optimizer of every arm; `check_optimizer` one alone.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from equipoise.errors import EquipoiseError
from equipoise.optimizers import eval_mode, moves_all, needs_closure, train_mode
from equipoise.training.loop.checkpoint import pack, unpack
from equipoise.training.loop.determinism import generator, seeded
from equipoise.training.loop.optimizer_state import load_optimizer

Build = Callable[[list[nn.Parameter]], Optimizer]
Schedule = Callable[[Optimizer, int], LRScheduler]
"""(optimizer, total steps) -> the schedule of its learning rates."""

MOVES, REPEATS, RESUMES = "moves every parameter", "repeats bit for bit", "resumes bit for bit"
DESCENDS = "goes down the gradient"
BEFORE, AFTER = 7, 8
"""Steps before and after the checkpoint: coprime, so that a hidden counter of any period up to 8 is out of step."""
LONGEST = 16
"""Longest axis of a stand-in for a parameter: rules depend on the number of axes, and time on their lengths."""
_NOISE = 0.1
_CERTAIN = 1.5
"""Standard deviations of a sum of random steps above which it is no chance that it goes up. A rule of the wrong sign
that returns to slow weights halfway every 3 to 10 steps (Lookahead) has 1.7 to 2.2, any other one about 3.9."""


def optimizer_fault(build: Build, parameters: Mapping[str, nn.Parameter], schedule: Schedule) -> str | None:
    """Return the clause that an optimizer breaks, with the observation and a cure; None where it keeps all.

    build: makes it from a list of parameters. parameters: those of a network, by name, which stay as they are:
    stand-ins with the same number of axes are moved.

    Raises EquipoiseError where its state cannot be saved or loaded. Whatever its step raises passes.
    """
    try:
        return _fault(build, {name: _stand_in(value, LONGEST) for name, value in parameters.items()}, schedule)
    except EquipoiseError:
        raise
    # Of any kind: a rule may depend on the parameters' very shapes, and then they are tried in full.
    except Exception:
        return _fault(build, {name: _stand_in(value, None) for name, value in parameters.items()}, schedule)


def still_parameters(build: Build, parameters: Mapping[str, nn.Parameter], schedule: Schedule) -> list[str]:
    """Return the names of parameters that stand still while others move, though gradient and learning rate are not 0.

    None is named where the optimizer declares `moves_all = False`.
    """
    run = _Run(build, parameters, schedule)
    run.go(0, BEFORE + AFTER)
    return run.still()


def climbs(build: Build, parameters: Mapping[str, nn.Parameter], schedule: Schedule) -> bool:
    """Return whether an optimizer goes up the gradient of a simple convex function, as with a wrong sign."""
    run = _Run(build, parameters, schedule)
    run.go(0, BEFORE + AFTER)
    return run.climbs()


def _fault(build: Build, parameters: Mapping[str, nn.Parameter], schedule: Schedule) -> str | None:
    start = {name: value.detach().clone() for name, value in parameters.items()}
    whole = _Run(build, parameters, schedule)
    whole.go(0, BEFORE)
    middle, saved = whole.weights(), whole.saved()
    whole.go(BEFORE, AFTER)
    if whole.climbs():
        return (
            f"breaks the clause {DESCENDS!r}: over {BEFORE + AFTER} steps on a convex function it moves along the "
            "gradient, so the loss grows; turn the sign of its step, or leave out a setting that maximizes"
        )
    still = whole.still()
    if still:
        names = ", ".join(still[:3]) + (", …" if len(still) > 3 else "")
        return (
            f"breaks the clause {MOVES!r}: {len(still)} of {len(start)} keep their values over {BEFORE + AFTER} steps "
            f"({names}), though they have gradients and a learning rate; correct its step, name them in the arm's "
            "`freeze` where they are not to be trained, or set `moves_all = False` in an optimizer that moves them "
            "in turn"
        )
    again = _Run(build, _copies(start, parameters), schedule)
    again.go(0, BEFORE)
    again.go(BEFORE, AFTER)
    difference = _difference(whole.weights(), again.weights())
    if difference is not None:
        return (
            f"breaks the clause {REPEATS!r}: the same steps give other weights the second time ({difference}); draw "
            "random numbers with torch's generator alone, and keep nothing outside of the optimizer"
        )
    resumed = _Run(build, _copies(middle, parameters), schedule)
    resumed.load(saved)
    resumed.go(BEFORE, AFTER)
    difference = _difference(whole.weights(), resumed.weights())
    if difference is not None:
        return (
            f"breaks the clause {RESUMES!r}: after a checkpoint its steps differ from those without one "
            f"({difference}), so an interrupted trial would give other numbers; keep all that it remembers in "
            "self.state or self.param_groups"
        )
    return None


class _Run:
    """Stand-ins for parameters, the optimizer that moves them, and its schedule."""

    def __init__(self, build: Build, parameters: Mapping[str, nn.Parameter], schedule: Schedule) -> None:
        self.parameters = dict(parameters)
        self.start = self.weights()
        self.optimizer = build(list(self.parameters.values()))
        self.schedule = schedule(self.optimizer, 2 * (BEFORE + AFTER))
        self.rated = {id(value) for value in self.parameters.values() if not _in_groups(self.optimizer, value)}
        # Gradients of about 1, wherever a parameter is: no learning rate makes it leave the finite numbers.
        draws = generator("optimizer trial", "aims")
        self.aims = [torch.randn(value.shape, generator=draws).to(value) for value in self.parameters.values()]
        self.noise: list[Tensor] = []
        self.slopes: list[float] = []

    def weights(self) -> dict[str, Tensor]:
        """Return copies of the parameters."""
        return {name: value.detach().clone() for name, value in self.parameters.items()}

    def go(self, first: int, steps: int) -> None:
        """Take steps as an epoch does, numbered from `first`; the weights for evaluation are left in place."""
        train_mode(self.optimizer)
        with seeded("optimizer trial", first):
            for number in range(first, first + steps):
                self.rated |= {id(p) for group in self.optimizer.param_groups if _rate(group) for p in group["params"]}
                draws = generator("optimizer trial", number)
                self.noise = [_NOISE * torch.randn(aim.shape, generator=draws).to(aim) for aim in self.aims]
                before, gradients = list(self.weights().values()), [slope for slope, _ in self._terms()]
                self._step()
                self.slopes.append(_product(self.parameters.values(), before, gradients))
                self.schedule.step()
        eval_mode(self.optimizer)

    def _step(self) -> None:
        def closure() -> float:
            """Compute the loss and its gradient anew."""
            self.optimizer.zero_grad()
            return self._gradients()

        if needs_closure(self.optimizer):
            self.optimizer.step(closure)
        else:
            closure()
            self.optimizer.step()

    def _gradients(self) -> float:
        """Set the gradients of sqrt(1 + (p - aim)^2) + noise * p, with noise that depends on the step alone."""
        loss = 0.0
        for param, (gradient, value) in zip(self.parameters.values(), self._terms(), strict=True):
            param.grad = gradient
            loss += float(value.sum())
        return loss

    def _terms(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the gradient and the loss of every parameter, element by element."""
        for param, aim, noise in zip(self.parameters.values(), self.aims, self.noise, strict=True):
            far = param.detach() - aim
            root = (1 + far.abs() ** 2).sqrt()
            yield far / root + noise, root + (noise * param.detach()).real

    def saved(self) -> tuple[Any, dict[str, Tensor]]:
        """Return the state as a checkpoint holds it."""
        tensors: dict[str, Tensor] = {}
        state = {"optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}
        return pack(state, tensors), tensors

    def load(self, saved: tuple[Any, dict[str, Tensor]]) -> None:
        """Go on from a saved state, as a resumed job does."""
        state = unpack(*saved)
        load_optimizer(self.optimizer, state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])

    def climbs(self) -> bool:
        """Return whether the steps went up: the first that moved anything, and all together.

        A rule that descends may take single steps up, with momentum or on its way back to slow weights, but not the
        first one, and from rest not more than down. One that adds noise of its own may do both by chance, so that the
        sum must be large beside the steps.
        """
        first = next((slope for slope in self.slopes if slope != 0), 0.0)
        return first > 0 and sum(self.slopes) > _CERTAIN * math.hypot(*self.slopes)

    def still(self) -> list[str]:
        """Return the names of parameters that did not move, although others did and their own rate was not 0."""
        if not moves_all(self.optimizer):
            return []
        tried = [name for name, value in self.parameters.items() if value.numel() and id(value) in self.rated]
        still = [name for name in tried if torch.equal(self.parameters[name].detach(), self.start[name])]
        # All of them: a learning rate below the rounding, or a rule that waits for more steps than these.
        return [] if len(still) == len(tried) else still


def _product(values: Iterable[Tensor], before: Iterable[Tensor], gradients: Iterable[Tensor]) -> float:
    """Return the product of a step with the gradient: what it adds to the loss, to first order."""
    parts = zip(values, before, gradients, strict=True)
    return sum(float(((new.detach() - old) * slope.conj()).real.sum()) for new, old, slope in parts)


def _rate(group: Mapping[str, Any]) -> bool:
    """Whether a group moves: its learning rate is not 0, or it has none."""
    rate = group.get("lr")
    return not (isinstance(rate, int | float | Tensor) and float(rate) == 0)


def _in_groups(optimizer: Optimizer, param: nn.Parameter) -> bool:
    return any(param is one for group in optimizer.param_groups for one in group["params"])


def _stand_in(param: nn.Parameter, longest: int | None) -> nn.Parameter:
    """Return a parameter of small random values with as many axes, none longer than `longest`."""
    shape = [side if longest is None else min(side, longest) for side in param.shape]
    # Small, because a step below the rounding of a large value would not move it.
    values = 1e-3 * torch.randn(shape, generator=generator("optimizer trial", "start", *shape))
    return _like(param, values.to(param.device, param.dtype))


def _copies(values: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    return {name: _like(parameters[name], value.clone()) for name, value in values.items()}


def _like(param: nn.Parameter, values: Tensor) -> nn.Parameter:
    made = nn.Parameter(values)
    made.__dict__.update(param.__dict__)  # marks that a network sets for its optimizer
    return made


def _difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str | None:
    """Return the largest difference between equal names, as words; None where all bits are equal, nan included."""
    worst, where = 0.0, None
    for name, value in one.items():
        same = (value == other[name]) | (value.isnan() & other[name].isnan())
        if not bool(same.all()):
            far = float((value - other[name]).abs().nan_to_num(torch.inf).max())
            if where is None or far > worst:
                worst, where = far, name
    return None if where is None else f"largest difference {worst:.2g}, in {where}"
