"""Prodigy, from the package of its authors."""

import contextlib
import io
from collections.abc import Iterable
from typing import Any

import prodigyopt


class Prodigy(prodigyopt.Prodigy):  # type: ignore[misc]
    """Adam that estimates its own learning rate (Mishchenko and Defazio 2024), from the package prodigyopt.

    `lr` multiplies the estimate and is best left at 1. Every setting of `prodigyopt.Prodigy` is accepted.
    State: 16 bytes per parameter.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1.0, **settings: Any) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # the package prints a line when weights decay
            super().__init__(params, lr=lr, **settings)
