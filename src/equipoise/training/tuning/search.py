"""Tuning on an equal budget: what may be drawn, the draws themselves, and which of them is chosen.

The draws are points of a scrambled Sobol sequence, the same for the same seed and space, whatever any training gave:
they are fixed when the trial is locked, they can run side by side and resume, and no arm learns from another's luck.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import ProtocolError
from equipoise.protocol import Arm, Dimension, Named, Space

Settings = Mapping[str, Any]
"""Values by their dotted names, such as {"optimizer.lr": 0.01}."""


def _log(low: float, high: float) -> Dimension:
    return Dimension(log=(low, high))


_DECAY = _log(1e-4, 1e-1)
_PENALTY = _log(1e-6, 1e-2)
"""Weight decay that enters the gradient: the upper decade of `_DECAY` keeps Adam from learning."""
_FAMILY = {
    "paper": {"lr": _log(3e-3, 1.0), "alpha": _log(1e-3, 1.0)},
    "bounded": {"lr": _log(3e-3, 1.0), "alpha": _log(1e-2, 3.0)},
    "agreement": {"lr": _log(1e-2, 3.0), "alpha": _log(1e-2, 3.0)},
    "adam": {"lr": _log(1e-4, 3e-2), "alpha": _log(1e-2, 3.0)},
}
"""The adaptive-momentum family by rule; alpha is ten times the change of log eta a step, at the default gamma."""
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
"""Where nothing is declared: two settings an optimizer, each about three decades wide around its usual values."""


def space_of(arm: Arm) -> dict[str, Dimension]:
    """The dimensions of an arm by dotted name: as declared, else the default of its built-in optimizer.

    Raises ProtocolError for an optimizer without a default.
    """
    declared = arm.space.dimensions()
    if declared:
        return declared
    name = arm.optimizer.name.lower().replace("-", "").replace("_", "")
    rule = arm.optimizer.settings.get("rule", "agreement")
    found = _FAMILY.get(str(rule)) if name == "adaptivemomentum" else _SPACES.get(name)
    if found is None:
        raise ProtocolError(
            f"arm {arm.name!r} is to be tuned and the optimizer {arm.optimizer.name!r} has no default space; declare "
            "one, for example space = {optimizer.lr = {log = [1e-4, 1e-1]}}"
        )
    return Space(optimizer=found).dimensions()


def draw(space: Mapping[str, Dimension], count: int, seed: int) -> list[dict[str, Any]]:
    """The first `count` draws from a space; fewer draws are the beginning of more.

    Ranges are covered evenly (Sobol's sequence, scrambled by the seed); choices are drawn at random.
    """
    import optuna  # half a second that only a tuned trial should pay

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: _distribution(dimension) for name, dimension in space.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the sampler is new, and that few points are no power of two
        study = optuna.create_study(sampler=optuna.samplers.QMCSampler(scramble=True, seed=seed))
        # an ended trial tells the sampler its dimensions; without one the first draw would not be of the sequence
        start = {
            name: found.choices[0] if hasattr(found, "choices") else found.low for name, found in distributions.items()
        }
        study.add_trial(optuna.trial.create_trial(params=start, distributions=distributions, value=0.0))
        drawn = [study.ask(distributions).params for _ in range(count)]
    return [{name: _value(dimension, one[name]) for name, dimension in space.items()} for one in drawn]


def _distribution(dimension: Dimension) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.choices is not None:
        return CategoricalDistribution(range(len(dimension.choices)))  # by number: a choice may be a list or a table
    if dimension.integer is not None:
        return IntDistribution(*dimension.integer)
    low, high = dimension.log or dimension.linear or (0.0, 0.0)
    return FloatDistribution(low, high, log=dimension.log is not None)


def _value(dimension: Dimension, drawn: Any) -> Any:
    """What a drawn number stands for; three digits of a range are enough, and can be read."""
    if dimension.choices is not None:
        return dimension.choices[drawn]
    if dimension.integer is not None:
        return int(drawn)
    low, high = dimension.log or dimension.linear or (drawn, drawn)
    return min(max(float(f"{drawn:.3g}"), low), high)


def with_settings(arm: Arm, settings: Settings) -> Arm:
    """The arm with drawn settings in place of its stated ones."""
    parts: dict[str, dict[str, Any]] = {"model": {}, "optimizer": {}}
    for name, value in settings.items():
        part, _, key = name.partition(".")
        parts[part][key] = value
    model, optimizer = (Named(**(getattr(arm, part).model_dump() | own)) for part, own in parts.items())
    return arm.model_copy(update={"model": model, "optimizer": optimizer, "space": Space(), "draws": None})


def validation_value(history: Mapping[str, NDArray[np.float64]], column: str, epoch: int) -> float | None:
    """What a job's history says of an epoch (1, 2, …); None where it is not a finite number."""
    values = history[column][history["epoch"] == epoch] if history else np.empty(0)
    value = float(values[0]) if len(values) else math.nan
    return value if math.isfinite(value) else None
