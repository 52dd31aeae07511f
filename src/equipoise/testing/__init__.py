"""Public contract suites, by which the author of a model, an optimizer or a cohort can check it.

Names are imported when first used, because the phantoms in this package also serve a process without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.testing.cohort import check_cohort
    from equipoise.testing.model import check_model
    from equipoise.testing.optimizer import check_optimizer

_PLACES = {"check_cohort": "cohort", "check_model": "model", "check_optimizer": "optimizer"}

__all__ = ["check_cohort", "check_model", "check_optimizer"]


def __getattr__(name: str) -> Any:
    """Import and return a public name."""
    if name in _PLACES:
        return getattr(import_module(f"equipoise.testing.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
