"""Quantiles of an adaptive-momentum optimizer's learning rates, for logs and figures."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Levels of the quantiles by default."""


@dataclass(frozen=True, slots=True)
class RateQuantiles:
    """Quantiles of the rates eta, and of beta, over the elements of one tensor or of all.

    Attributes:
        elements: number of elements (each counts once, also where a tensor shares one rate).
        levels: the quantiles' levels, in [0, 1].
        rates: eta at each level (equation 2, without any normalisation by the direction).
        betas: beta at each level; beta falls where eta rises, so these are in reverse order.
        lr: the present learning rate eta_0 (of the first group, where all are pooled).
    """

    elements: int
    levels: tuple[float, ...]
    rates: tuple[float, ...]
    betas: tuple[float, ...]
    lr: float


def tensor_rates(optimizer: Optimizer, levels: Sequence[float] = LEVELS) -> list[RateQuantiles]:
    """Compute quantiles for every parameter of every group, in their order."""
    return [
        _quantiles([(group, _count(optimizer, param), param.numel())], levels)
        for group in optimizer.param_groups
        for param in group["params"]
    ]


def pooled_rates(optimizer: Optimizer, levels: Sequence[float] = LEVELS) -> RateQuantiles:
    """Compute quantiles over every element of every parameter."""
    return _quantiles(
        [
            (group, _count(optimizer, param), param.numel())
            for group in optimizer.param_groups
            for param in group["params"]
        ],
        levels,
    )


def _count(optimizer: Optimizer, param: Tensor) -> Tensor:
    """Return the counts of a parameter; before its first step, zero."""
    count: Tensor = optimizer.state[param].get("count") if optimizer.state.get(param) else torch.zeros(())
    return count


def _tally(count: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values that occur, ascending (float64), and their frequencies."""
    # A histogram of whole numbers, which takes one pass; sorting every element of a network at each epoch does not.
    if count.is_floating_point() or not count.numel():
        values, times = torch.unique(count.cpu(), return_counts=True)
        return values.double(), times
    low = int(count.min())
    times = torch.bincount(count.flatten().int() - low).cpu()
    occurring = times.nonzero().flatten()
    return occurring.double() + low, times[occurring]


def _quantiles(parts: Iterable[tuple[dict[str, Any], Tensor, int]], levels: Sequence[float]) -> RateQuantiles:
    """Compute exact quantiles: the smallest rate that at least the level's fraction of elements does not exceed."""
    rates, betas, weights, lr = [], [], [], math.nan
    for group, count, elements in parts:
        values, times = _tally(count)
        beta = group["beta0"] + group["alpha"] * values  # (1)
        rates.append(float(group["lr"]) * torch.exp(-group["gamma"] * beta))  # (2)
        betas.append(beta)
        weights.append(times * (elements // max(count.numel(), 1)))
        lr = float(group["lr"]) if math.isnan(lr) else lr
    order = torch.argsort(torch.cat(rates))
    rate, beta, weight = (torch.cat(x)[order] for x in (rates, betas, weights))
    share = weight.cumsum(0).double()
    total = int(weight.sum())
    if not total:
        undefined = (math.nan,) * len(levels)
        return RateQuantiles(0, tuple(levels), undefined, undefined, lr)
    ranks = torch.tensor(levels, dtype=torch.float64).mul_(total).clamp_(min=0.5)
    index = torch.searchsorted(share, ranks).clamp_(max=len(rate) - 1)
    return RateQuantiles(total, tuple(levels), tuple(rate[index].tolist()), tuple(beta[index].tolist()), lr)
