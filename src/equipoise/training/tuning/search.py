"""Draw settings for tuning on an equal budget: the search spaces, and the draws from them.

The draws are points of a scrambled Sobol sequence. They depend on the seed and the space and not on any result: they
are fixed when the trial is locked, can run in parallel and resume, and give every arm the same number of trials.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import ProtocolError
from equipoise.protocol import Arm, Dimension, Named, Space

Settings = Mapping[str, Any]
"""Values by dotted name, such as {"optimizer.lr": 0.01}."""


def _log(low: float, high: float) -> Dimension:
    return Dimension(log=(low, high))


_DECAY = _log(1e-4, 1e-1)
_PENALTY = _log(1e-6, 1e-2)
"""Weight decay that is added to the gradient: the upper decade of `_DECAY` keeps Adam from learning."""
_FAMILY = {
    "paper": {"lr": _log(3e-3, 1.0), "alpha": _log(1e-3, 1.0)},
    "bounded": {"lr": _log(3e-3, 1.0), "alpha": _log(1e-2, 3.0)},
    "agreement": {"lr": _log(1e-2, 3.0), "alpha": _log(1e-2, 3.0)},
    "adam": {"lr": _log(1e-4, 3e-2), "alpha": _log(1e-2, 3.0)},
}
"""The adaptive-momentum family by rule; alpha is ten times the change of log eta per step, at the default gamma."""
_SPACES = {
    "sgd": {"lr": _log(3e-3, 1.0), "weight_decay": _PENALTY},
    "momentum": {"lr": _log(1e-3, 3e-1), "weight_decay": _PENALTY},
    "adam": {"lr": _log(1e-4, 3e-2), "weight_decay": _PENALTY},
    "adamw": {"lr": _log(1e-4, 3e-2), "weight_decay": _log(1e-3, 1.0)},
    "nadam": {"lr": _log(1e-4, 3e-2), "weight_decay": _PENALTY},
    "rmsprop": {"lr": _log(1e-4, 3e-2), "weight_decay": _PENALTY},
    "adagrad": {"lr": _log(1e-3, 3e-1), "weight_decay": _PENALTY},
    "lion": {"lr": _log(1e-5, 3e-3), "weight_decay": _log(1e-2, 10.0)},
    "muon": {"lr": _log(1e-4, 3e-2), "weight_decay": _DECAY},
    "prodigy": {"lr": _log(1e-1, 10.0), "weight_decay": _DECAY},
    "sam": {"lr": _log(3e-3, 1.0), "rho": _log(5e-3, 5e-1)},
    "schedulefreeadamw": {"lr": _log(3e-4, 1e-1), "weight_decay": _DECAY},
}
"""Default spaces: two settings per optimizer, each about three decades wide around its usual values."""


def space_of(arm: Arm) -> dict[str, Dimension]:
    """Return the dimensions of an arm by dotted name: as declared, else the default of its built-in optimizer.

    Raises ProtocolError for an optimizer without a default.
    """
    declared = arm.space.dimensions()
    if declared:
        return declared
    name = arm.optimizer.name.lower().replace("-", "").replace("_", "")
    rule = arm.optimizer.settings.get("rule", "agreement")
    dimensions = _FAMILY.get(str(rule)) if name == "adaptivemomentum" else _SPACES.get(name)
    if dimensions is None:
        raise ProtocolError(
            f"arm {arm.name!r} is to be tuned, but the optimizer {arm.optimizer.name!r} has no default search space; "
            "declare one, for example space = {optimizer.lr = {log = [1e-4, 1e-1]}}"
        )
    return Space(optimizer=dimensions).dimensions()


def draw(space: Mapping[str, Dimension], count: int, seed: int) -> list[dict[str, Any]]:
    """Return the first `count` draws from a space; a smaller count gives the beginning of the same list.

    Every dimension is covered evenly, ranges as well as choices (Sobol's sequence, scrambled by the seed).
    """
    from scipy.stats import qmc  # half a second that only a tuned trial should pay

    sequence = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
    # The sequence is balanced at powers of two alone.
    points = sequence.random_base2((count - 1).bit_length())[:count]
    return [
        {name: _value(dimension, float(place)) for (name, dimension), place in zip(space.items(), point, strict=True)}
        for point in points
    ]


def _value(dimension: Dimension, place: float) -> Any:
    """Return the value at a position in [0, 1) of a dimension, rounded to three digits in a continuous range."""
    if dimension.choices is not None:
        return dimension.choices[int(place * len(dimension.choices))]
    if dimension.integer is not None:
        first, last = dimension.integer
        return first + int(place * (last - first + 1))
    if dimension.log is not None:
        low, high = dimension.log
        value = low * (high / low) ** place
    else:
        low, high = dimension.linear or (0.0, 0.0)
        value = low + (high - low) * place
    # Three digits are far finer than any search and stay readable in the report; rounding must not leave the range.
    return min(max(float(f"{value:.3g}"), low), high)


def with_settings(arm: Arm, settings: Settings) -> Arm:
    """Return the arm with drawn settings in place of those of the protocol."""
    parts: dict[str, dict[str, Any]] = {"model": {}, "optimizer": {}}
    for name, value in settings.items():
        part, _, key = name.partition(".")
        parts[part][key] = value
    model, optimizer = (Named(**(getattr(arm, part).model_dump() | own)) for part, own in parts.items())
    return arm.model_copy(update={"model": model, "optimizer": optimizer, "space": Space(), "draws": None})


def validation_value(history: Mapping[str, NDArray[np.float64]], column: str, epoch: int) -> float | None:
    """Return the value of a job's history in an epoch (counted from 1); None where it is not finite."""
    values = history[column][history["epoch"] == epoch] if history else np.empty(0)
    value = float(values[0]) if len(values) else math.nan
    return value if math.isfinite(value) else None
