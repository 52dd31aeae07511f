"""Refuse in one sentence an optimizer state that was saved by another optimizer, or for another model."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from equipoise.errors import EquipoiseError

Names = Callable[[Mapping[str, Any], Tensor], tuple[Collection[str], Collection[str]]]
"""(group, parameter) -> names that the state of a parameter must have, and names that it may have besides."""


def check_saved_state(optimizer: Optimizer, saved: Any, names: Names | None = None) -> None:
    """Check that `saved` is a state of this kind of optimizer over parameters of these shapes.

    names: of each parameter's state; None where only the groups are checked.

    Raises:
        EquipoiseError: naming the first difference; torch's own loading would fail later, at the next step.
    """
    kind = type(optimizer).__name__
    groups, states = _parts(kind, saved)
    if [len(group["params"]) for group in groups] != [len(group["params"]) for group in optimizer.param_groups]:
        raise EquipoiseError(
            f"The saved state has {_counted(groups)} and this {kind} {_counted(optimizer.param_groups)}; load it into "
            "an optimizer of the same model, with parameters in the same groups."
        )
    for group, own in zip(groups, optimizer.param_groups, strict=True):
        lacking = [name for name in optimizer.defaults if name not in group]
        if lacking:
            raise _foreign(kind, f"its groups have no {', '.join(map(repr, lacking[:3]))}")
        for key, param in zip(group["params"], own["params"], strict=True):
            state = states.get(key, {})
            if state and names is not None:
                _check_names(kind, state, *names(group, param))
                _check_shapes(kind, state, param)


def _parts(kind: str, saved: Any) -> tuple[list[Any], Mapping[Any, Any]]:
    """Return the groups and the states by parameter."""
    keys = list(saved) if isinstance(saved, Mapping) else type(saved).__name__
    if not isinstance(saved, Mapping) or not {"state", "param_groups"} <= set(saved):
        raise EquipoiseError(
            f"{kind} was given {keys} to load, which is not an optimizer's state; pass what state_dict() of a {kind} "
            "gave."
        )
    groups, states = saved["param_groups"], saved["state"]
    sound = isinstance(groups, list | tuple) and all(isinstance(g, Mapping) and "params" in g for g in groups)
    if not sound or not isinstance(states, Mapping):
        raise _foreign(kind, "its groups or states are not dictionaries")
    return list(groups), states


def _check_names(kind: str, state: Any, required: Collection[str], allowed: Collection[str]) -> None:
    present = set(state) if isinstance(state, Mapping) else set()
    if not set(required) <= present <= {*required, *allowed}:
        shown = ", ".join(sorted(map(str, present))) or type(state).__name__
        expected = ", ".join(sorted({*required, *allowed}))
        raise _foreign(kind, f"a parameter's state holds {shown} in place of {expected}")


def _check_shapes(kind: str, state: Mapping[str, Any], param: Tensor) -> None:
    shapes = {tuple(param.shape), (*param.shape, 2) if param.is_complex() else tuple(param.shape), ()}
    for name, value in state.items():
        if isinstance(value, Tensor) and tuple(value.shape) not in shapes:
            raise EquipoiseError(
                f"The saved {name} has shape {tuple(value.shape)} but its parameter {tuple(param.shape)}; load the "
                f"state into a {kind} of the same model, with parameters in the same order."
            )


def _foreign(kind: str, difference: str) -> EquipoiseError:
    return EquipoiseError(
        f"The saved state is not that of a {kind}: {difference}; load it into the optimizer that saved it, or begin "
        f"{kind} without a state."
    )


def _counted(groups: Collection[Mapping[str, Any]]) -> str:
    return f"{len(groups)} groups of {', '.join(str(len(group['params'])) for group in groups)} parameters"
