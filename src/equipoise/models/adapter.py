"""Adapt a network of another library to the contract, which passes three fixed arguments by position."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

FIXED = ("in_channels", "out_channels", "spatial_dims")


def in_order(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return `factory` as a function of (in_channels, out_channels, spatial_dims, **settings), its signature kept.

    A factory with parameters of these three names gets them by name, because MONAI's networks take `spatial_dims` first
    or last. Any other factory gets them by position.
    """
    if not all(name in inspect.signature(factory).parameters for name in FIXED):
        return factory

    # `wraps` keeps the signature visible: callers read from it whether the factory takes `task=`.
    @functools.wraps(factory)
    def by_name(*fixed: int, **settings: object) -> Any:
        """Build the network with the arguments of the contract by name."""
        return factory(**dict(zip(FIXED, fixed, strict=True)), **settings)

    return by_name
