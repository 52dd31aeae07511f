"""Equations 1 and 2 in whole numbers: counts of signs, and the table of their rates.

beta_t = beta_0 + alpha * n_t, where n_t is a sum of signs and therefore an integer. The optimizers store n_t, which is
exact, needs one or two bytes, resumes bit for bit, and never stalls as a running sum in bfloat16 would (at |n| = 256).
The loop and the compiled kernel read their rates from the same table.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

# A count may pass its limit by one before it is clamped, so the last value of each type stays unused.
_ROOM = ((torch.int8, 126), (torch.int16, 32766), (torch.int32, 2**31 - 2))


def clamp_limit(kappa: float, ratio: float) -> int:
    """Return the largest count with a rate within a factor `ratio` of the initial one: floor(ln(ratio) / kappa).

    >>> clamp_limit(0.02, 10.0)
    115
    """
    if kappa == 0:
        return _ROOM[0][1]  # the rate never moves, so any limit is right; this one needs the smallest type
    # The tolerance keeps a quotient that is a whole number but for rounding from losing one.
    return min(math.floor(math.log(ratio) / abs(kappa) + 1e-9), _ROOM[-1][1])


def reachable_limit(step: int) -> int:
    """Return a bound on |n| after `step` steps, rounded up in powers of four so that few tables are built.

    >>> reachable_limit(1), reachable_limit(1000), reachable_limit(32766)
    (126, 2016, 32766)
    """
    limit = _ROOM[0][1]
    while limit < step:
        limit *= 4
    narrow = _ROOM[1][1]
    return narrow if limit > narrow >= step else limit  # two bytes for as long as they can hold it


def count_dtype(limit: int) -> torch.dtype:
    """Return the smallest integer type that holds every count in [-limit, limit], and one more on each side.

    >>> count_dtype(115), count_dtype(2048)
    (torch.int8, torch.int16)
    """
    return next(dtype for dtype, room in _ROOM if limit <= room)


@lru_cache(maxsize=32)
def _relative_rates(alpha: float, gamma: float, beta0: float, limit: int) -> Tensor:
    """Compute exp(-gamma * beta) in float64 for every count from -limit to limit."""
    # Cached apart from lr, which a schedule changes at every step: only the product is new then.
    beta = beta0 + alpha * torch.arange(-limit, limit + 1, dtype=torch.float64)  # (1), summed over steps
    return torch.exp(-gamma * beta)


@lru_cache(maxsize=32)
def rate_table(
    lr: float,
    alpha: float,
    gamma: float,
    beta0: float,
    limit: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device = torch.device("cpu"),  # noqa: B008 (a constant)
) -> Tensor:
    """Tabulate equation 2 for every possible count: eta(n) = lr * exp(-gamma * (beta_0 + alpha * n)).

    Computed in float64 and rounded once to `dtype`. Shape: (2 * limit + 1,); the rate of count n is at index
    n + limit. Rates beyond the range of `dtype` become 0 or infinity, as they would in equation 2. The tensor
    is shared between callers and must not be written to.

    >>> rate_table(0.1, 1.0, 0.5, 0.0, 2)[[0, 2, 4]].tolist()  # doctest: +ELLIPSIS
    [0.27182..., 0.1000..., 0.03678...]
    """
    return (lr * _relative_rates(alpha, gamma, beta0, limit)).to(device=device, dtype=dtype)


def look_up(table: Tensor, count: Tensor) -> Tensor:
    """Return the rates of the counts, in the shape of `count`; `table` comes from `rate_table`."""
    # int32 indices in place of int64 halve the memory traffic; index_select takes both.
    index = count.to(torch.int32).add_(table.numel() // 2)
    return table.index_select(0, index.reshape(-1)).view(count.shape)
