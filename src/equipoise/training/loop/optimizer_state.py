"""Load an optimizer's saved state so that schedules and wrappers go on with the groups that they hold."""

from typing import Any

from torch.optim import Optimizer

from equipoise.errors import EquipoiseError


def load_optimizer(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Load a state; every group keeps its identity, and its learning rate is that of the saved one.

    torch's loading makes new groups, and an optimizer that wraps another would go on with the old ones, whose learning
    rates nothing changes any more.

    Raises:
        EquipoiseError: where the state cannot be loaded, or the learning rates differ from the saved ones afterwards.
    """
    kind = type(optimizer).__name__
    parts = _parts(optimizer)
    before = [(part, part.param_groups, part.state) for part in parts]
    try:
        optimizer.load_state_dict(saved)
    except EquipoiseError:
        raise
    # Of any kind: a user's own `load_state_dict` may raise anything.
    except Exception as error:
        first = f"{type(error).__name__}: {error}".split("\n")[0]
        raise EquipoiseError(
            f"the optimizer {kind} cannot load the state that it saved ({first}); correct its load_state_dict "
            "(equipoise.testing.check_optimizer tries it)"
        ) from error
    for part, groups, state in before:
        _keep_identity(part, groups, state)
    _check_rates(kind, optimizer, saved)


def _parts(optimizer: Optimizer) -> list[Optimizer]:
    """Return the optimizer and all that it wraps, each once, innermost last."""
    parts, waiting = list[Optimizer](), [optimizer]
    while waiting:
        part = waiting.pop()
        if any(part is known for known in parts):
            continue
        parts.append(part)
        waiting += [value for value in vars(part).values() if isinstance(value, Optimizer)]
    return parts


def _keep_identity(part: Optimizer, groups: list[dict[str, Any]], state: Any) -> None:
    """Put the loaded values into the groups and the state that existed before the load."""
    loaded, loaded_state = part.param_groups, part.state
    if loaded is not groups and len(loaded) == len(groups):
        for old, new in zip(groups, loaded, strict=True):
            if old is not new:
                values = dict(new)
                old.clear()
                old.update(values)
        part.param_groups = groups
    if loaded_state is not state:
        entries = dict(loaded_state)
        state.clear()
        state.update(entries)
        part.state = state


def _check_rates(kind: str, optimizer: Optimizer, saved: dict[str, Any]) -> None:
    groups = saved.get("param_groups", ())
    if not isinstance(groups, list | tuple):
        return
    for number, (group, was) in enumerate(zip(optimizer.param_groups, groups, strict=False)):
        if "lr" in was and float(group["lr"]) != float(was["lr"]):
            raise EquipoiseError(
                f"after loading its state the optimizer {kind} has a learning rate of {float(group['lr']):g} in group "
                f"{number} in place of the saved {float(was['lr']):g}; correct its load_state_dict "
                "(equipoise.testing.check_optimizer tries it)"
            )
