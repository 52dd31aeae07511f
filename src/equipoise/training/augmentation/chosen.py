"""A step's effect on those images of a batch that its draws change; the others keep their bits."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def change(values: Tensor, changed: Tensor, effect: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Values (n, …) with `effect(values[rows], rows)` in the rows where `changed` (n,) is true.

    `changed` lies on the CPU, so that no accelerator has to be waited for.
    """
    rows = changed.nonzero()[:, 0]
    if len(rows) == 0:
        return values
    if len(rows) == len(values):
        return effect(values, rows)
    there = rows.to(values.device)
    return values.index_copy(0, there, effect(values.index_select(0, there), rows))


def per_image(parameter: Tensor, like: Tensor) -> Tensor:
    """(n,) as (n, 1, …) on the device of `like` and with its type, to be spread over its channels and space."""
    return parameter.to(like.device, like.dtype).view(-1, *(1,) * (like.ndim - 1))


def by_channel(found: Tensor, like: Tensor) -> Tensor:
    """(n, c) as (n, c, 1, …), to be spread over the space of `like`."""
    return found.view(*found.shape, *(1,) * (like.ndim - 2))


def spread(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel of every image, (n, c, 1, …)."""
    flat = values.flatten(2)
    mean = flat.mean(2, keepdim=True)
    # torch.std needs thirty times as long on a CPU
    deviation = torch.linalg.vector_norm(flat - mean, dim=2) / math.sqrt(flat.shape[2])
    return by_channel(mean[:, :, 0], values), by_channel(deviation, values)
