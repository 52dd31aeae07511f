"""Networks of other libraries are called by the names of the contract, where they take these in another order."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

FIXED = ("in_channels", "out_channels", "spatial_dims")


def in_order(factory: Callable[..., Any]) -> Callable[..., Any]:
    """`factory` as a function of (in_channels, out_channels, spatial_dims, **settings), with its own signature.

    Where it has parameters of these three names they are given by name: MONAI's networks take `spatial_dims` first or
    last. Any other factory is given them in this order.
    """
    if not all(name in inspect.signature(factory).parameters for name in FIXED):
        return factory

    @functools.wraps(factory)
    def by_name(*fixed: int, **settings: object) -> Any:
        return factory(**dict(zip(FIXED, fixed, strict=True)), **settings)

    return by_name
