"""Prodigy, from the package of its authors."""

import contextlib
import io
from collections.abc import Iterable
from typing import Any

import prodigyopt

from equipoise.optimizers.closure import refuse_unusual
from equipoise.optimizers.saved_state import check_saved_state


class Prodigy(prodigyopt.Prodigy):  # type: ignore[misc]
    """Adam that estimates its own learning rate (Mishchenko and Defazio 2024), from the package prodigyopt.

    `lr` multiplies the estimate and is best left at 1. Every setting of `prodigyopt.Prodigy` is accepted.
    State: 16 bytes per parameter.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1.0, **settings: Any) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # the package prints a line when weights decay
            super().__init__(params, lr=lr, **settings)

    def step(self, closure: Any = None) -> Any:
        """Take one step; raises EquipoiseError for complex weights and sparse gradients."""
        refuse_unusual(self)
        return super().step(closure)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that Prodigy saved; raises EquipoiseError for any other."""
        check_saved_state(self, state_dict)
        super().load_state_dict(state_dict)
