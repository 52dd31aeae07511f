"""Apply a step's effect to the images of a batch that its draws change; the others stay bit for bit equal."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def change(values: Tensor, changed: Tensor, effect: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return values (n, …) with `effect(values[rows], rows)` in the rows where `changed` (n,) is true."""
    # `changed` is on the CPU: to read it from an accelerator would wait for all work queued there.
    rows = changed.nonzero()[:, 0]
    if len(rows) == 0:
        return values
    if len(rows) == len(values):
        return effect(values, rows)
    there = rows.to(values.device)
    return values.index_copy(0, there, effect(values.index_select(0, there), rows))


def per_image(parameter: Tensor, like: Tensor) -> Tensor:
    """Reshape (n,) to (n, 1, …) on the device of `like` and with its type, to broadcast over channels and space."""
    return parameter.to(like.device, like.dtype).view(-1, *(1,) * (like.ndim - 1))


def by_channel(statistic: Tensor, like: Tensor) -> Tensor:
    """Reshape (n, c) to (n, c, 1, …), to broadcast over the space of `like`."""
    return statistic.view(*statistic.shape, *(1,) * (like.ndim - 2))


def spread(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of every channel of every image, (n, c, 1, …)."""
    flat = values.flatten(2)
    mean = flat.mean(2, keepdim=True)
    # torch.std takes thirty times as long on a CPU.
    deviation = torch.linalg.vector_norm(flat - mean, dim=2) / math.sqrt(flat.shape[2])
    return by_channel(mean[:, :, 0], values), by_channel(deviation, values)
