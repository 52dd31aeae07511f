"""Learning-rate schedules by name, stepped once after every update."""

import math
from collections.abc import Callable, Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from equipoise.errors import EquipoiseError

Factor = Callable[[int], float]
Share = Callable[[float], float]


def schedule(name: str, optimizer: Optimizer, total_steps: int, **settings: float | Sequence[float]) -> LRScheduler:
    """Make a schedule that multiplies every group's learning rate by a factor that depends on the steps taken.

    Call its `step()` after every update, and `after_validation(schedule, loss)` after every validation (only
    "plateau" uses it). It changes `lr` alone.

    Args:
        name: "constant", "cosine" (to `floor`, after `warm_up`), "poly" (to 0 as the remaining share to the power
            `power`, after `warm_up`), "one-cycle" (up for `rise`, from 1 / `start`, then down to 1 / (`start` *
            `end`)), "step" (times `factor` at each of `at`), "warm-up" (linear over `warm_up`, then constant),
            "plateau" (times `factor` after `patience` validations without an improvement).
        optimizer: the optimizer whose groups' `lr` is scheduled.
        total_steps: updates in the whole training; fractions are fractions of it.
        settings: the settings named above; each has a default.

    Raises:
        EquipoiseError: for an unknown name or setting, or fewer than one step.
    """
    if name not in _SCHEDULES:
        raise EquipoiseError(f"schedule {name!r} is unknown; choose one of {', '.join(_SCHEDULES)}.")
    if total_steps < 1:
        raise EquipoiseError(f"schedule {name!r} was given {total_steps} steps; train for at least one.")
    try:
        return _SCHEDULES[name](optimizer, total_steps, **settings)
    except TypeError as error:
        raise EquipoiseError(f"schedule {name!r} cannot be set so ({error}); remove that setting.") from error


def after_validation(schedule: LRScheduler | None, loss: float) -> None:
    """Pass the validation loss to a schedule that uses it."""
    observe = getattr(schedule, "observe", None)
    if observe is not None:
        observe(loss)


class Plateau(LRScheduler):
    """Lower the learning rate when the validation loss has stopped falling.

    After more than `patience` validations in a row without one below the best so far by a relative `threshold`, the
    rate is multiplied by `factor` and the count restarts. A loss that is not a number counts as no improvement.
    """

    # Not torch's ReduceLROnPlateau, whose `step` takes the loss: here every schedule is stepped after each update, and
    # a saved state resumes alike for all of them.

    def __init__(self, optimizer: Optimizer, factor: float = 0.5, patience: int = 3, threshold: float = 1e-4) -> None:
        self.factor, self.patience, self.threshold = factor, patience, threshold
        self.best, self.waited, self.scale = math.inf, 0, 1.0
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """Return every group's learning rate."""
        return [float(base) * self.scale for base in self.base_lrs]

    def observe(self, loss: float) -> None:
        """Record a validation loss; the rate may fall at once."""
        if loss < self.best * (1 - self.threshold) or (math.isinf(self.best) and math.isfinite(loss)):
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.scale, self.waited = self.scale * self.factor, 0
            for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
                group["lr"] = lr


def _constant(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    del total_steps
    return LambdaLR(optimizer, lambda _: 1.0)


def _warm_up(optimizer: Optimizer, total_steps: int, warm_up: float = 0.05) -> LRScheduler:
    return LambdaLR(optimizer, _rising(total_steps, warm_up, lambda _: 1.0))


def _cosine(optimizer: Optimizer, total_steps: int, floor: float = 0.0, warm_up: float = 0.0) -> LRScheduler:
    return LambdaLR(optimizer, _rising(total_steps, warm_up, lambda share: _slope(1.0, floor, share)))


def _poly(optimizer: Optimizer, total_steps: int, power: float = 0.9, warm_up: float = 0.0) -> LRScheduler:
    """Make the polynomial decay of DeepLab (Chen 2018) and nnU-Net (Isensee et al. 2021)."""
    return LambdaLR(optimizer, _rising(total_steps, warm_up, lambda share: (1 - share) ** power))


def _one_cycle(
    optimizer: Optimizer, total_steps: int, rise: float = 0.3, start: float = 25.0, end: float = 1e4
) -> LRScheduler:
    """Make the schedule of Smith and Topin (2018) in torch's form; momentum is constant, since not all have one."""
    top = rise * total_steps - 1

    def factor(step: int) -> float:
        """Return the factor of the rate at a step of one cycle."""
        if step <= top:
            return _slope(1 / start, 1.0, step / top if top > 0 else 1.0)
        return _slope(1.0, 1 / (start * end), (step - top) / max(total_steps - 1 - top, 1))

    return LambdaLR(optimizer, factor)


def _steps(
    optimizer: Optimizer, total_steps: int, factor: float = 0.1, at: Sequence[float] = (0.5, 0.75)
) -> LRScheduler:
    marks = [round(share * total_steps) for share in at]
    return LambdaLR(optimizer, lambda step: factor ** sum(step >= mark for mark in marks))


def _plateau(
    optimizer: Optimizer, total_steps: int, factor: float = 0.5, patience: int = 3, threshold: float = 1e-4
) -> LRScheduler:
    del total_steps
    return Plateau(optimizer, factor, patience, threshold)


def _rising(total_steps: int, warm_up: float, after: Share) -> Factor:
    """Return a linear rise to 1 over the first fraction of the steps, followed by `after` of the remaining fraction."""
    rise = round(warm_up * total_steps)

    def factor(step: int) -> float:
        """Return the factor of the rate at a step, warm-up first."""
        if step < rise:
            # Not step / rise: the first update would have a rate of 0 and be wasted.
            return (step + 1) / rise
        return after(min((step - rise) / max(total_steps - rise, 1), 1))

    return factor


def _slope(first: float, last: float, share: float) -> float:
    """Return the value at a fraction in [0, 1] of half a cosine from `first` to `last`."""
    return last + (first - last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


_SCHEDULES: dict[str, Callable[..., LRScheduler]] = {
    "constant": _constant,
    "cosine": _cosine,
    "poly": _poly,
    "one-cycle": _one_cycle,
    "step": _steps,
    "warm-up": _warm_up,
    "plateau": _plateau,
}
