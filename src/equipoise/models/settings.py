"""Check a network's settings; every error is one sentence with the allowed values."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import torch

from equipoise.errors import EquipoiseError
from equipoise.lookup import nearest

Task = Literal["classification", "segmentation"]
TASKS: tuple[Task, ...] = ("classification", "segmentation")


def choose(value: object, allowed: Collection[Any], what: str, model: str) -> str:
    """Return `value` as text if it is one of `allowed`; otherwise refuse it with the nearest spelling."""
    text = str(value)
    names = [str(name) for name in allowed]
    if text in names:
        return text
    raise EquipoiseError(f"{model} has no {what} {value!r}; {nearest(text, names)}.")


def check_dimensions(model: str, in_channels: int, out_channels: int, spatial_dims: int) -> None:
    """Refuse channel counts below one and dimensions other than 2 and 3."""
    if spatial_dims not in (2, 3):
        raise EquipoiseError(f"{model} works in 2 or 3 spatial dimensions, not {spatial_dims!r}.")
    # bool is a subclass of int in Python, and a protocol's `true` must not pass for one channel.
    for name, count in (("in_channels", in_channels), ("out_channels", out_channels)):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise EquipoiseError(f"{model} needs {name} of 1 or more, not {count!r}.")


def check_probability(value: float, what: str, model: str) -> float:
    """Return `value` if it is a valid dropout probability, 0 <= value < 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise EquipoiseError(f"{model} needs {what} from 0 up to but not including 1, not {value!r}.")
    return float(value)


def check_counts(value: Sequence[int], what: str, model: str, fewest: int = 1) -> tuple[int, ...]:
    """Return `value` as a tuple if it is a sequence of at least `fewest` positive whole numbers."""
    numbers = tuple(value) if isinstance(value, list | tuple) else ()
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in numbers)
    if len(numbers) < fewest or not whole:
        raise EquipoiseError(f"{model} needs {what} as {fewest} or more whole numbers above 0, not {value!r}.")
    return numbers


def setting_names(factory: Callable[..., object]) -> list[str]:
    """Return the names of a network's settings: the keyword-only parameters of its constructor."""
    parameters = inspect.signature(factory).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def refuse_unknown(model: str, unknown: Mapping[str, object], allowed: Sequence[str]) -> None:
    """Refuse the first of the `unknown` settings with the nearest allowed name."""
    # Constructors catch unknown settings in **unknown: Python's own TypeError would name no alternative.
    for name in unknown:
        choose(name, allowed, "setting", model)


def check_construction(
    model: str, network: type, unknown: Mapping[str, object], channels: tuple[int, int], spatial_dims: int, task: object
) -> None:
    """Refuse what every network refuses: unknown settings, impossible channels (in, out) or dimensions, other tasks."""
    refuse_unknown(model, unknown, setting_names(network))
    check_dimensions(model, *channels, spatial_dims)
    choose(task, TASKS, "task", model)


def check_input(x: torch.Tensor, model: str, in_channels: int, spatial_dims: int, smallest: int) -> None:
    """Refuse a batch that is not (N, in_channels, *spatial) with every spatial side at least `smallest`."""
    if x.ndim != spatial_dims + 2 or x.shape[1] != in_channels:
        axes = "y, x" if spatial_dims == 2 else "z, y, x"
        raise EquipoiseError(
            f"{model} was built for batches (case, {in_channels} channels, {axes}) but got shape {tuple(x.shape)}."
        )
    if min(x.shape[2:]) < smallest:
        raise EquipoiseError(
            f"{model} with this preset needs images of at least {smallest} pixels per side but got "
            f"{'x'.join(str(side) for side in x.shape[2:])}; choose a smaller preset or a larger size."
        )
