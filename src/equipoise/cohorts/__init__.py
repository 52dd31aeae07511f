"""Files → cohorts: the readers, the sources, the split and the search for leaks.

Sources are the functions in `__all__` below the data classes; each is imported when first asked for.
"""

from importlib import import_module
from typing import Any

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Image, Problem

_SOURCES = {
    "lidc_contours": "equipoise.cohorts.lidc",
    "phantom": "equipoise.cohorts.phantom",
}

__all__ = ["Case", "Cohort", "Exclusion", "Image", "Problem", *_SOURCES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """A source, imported late: each may need packages that the others do not."""
    if name in _SOURCES:
        return getattr(import_module(_SOURCES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
