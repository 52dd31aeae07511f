"""Statistics: endpoints, their uncertainty, comparisons and verdicts.

Names are imported when first used: a training job needs the endpoints and not the distributions of scipy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.statistics.adjudication import judge
    from equipoise.statistics.endpoints import Endpoint, Kind
    from equipoise.statistics.judgement import Comparison, Interval, Judgement, TypicalCase, Variance
    from equipoise.statistics.power import Needed
    from equipoise.statistics.ranking import Rank

_PLACES = {
    "Comparison": "judgement",
    "Endpoint": "endpoints",
    "Interval": "judgement",
    "Judgement": "judgement",
    "Kind": "endpoints",
    "Needed": "power",
    "Rank": "ranking",
    "TypicalCase": "judgement",
    "Variance": "judgement",
    "judge": "adjudication",
}

__all__ = [
    "Comparison",
    "Endpoint",
    "Interval",
    "Judgement",
    "Kind",
    "Needed",
    "Rank",
    "TypicalCase",
    "Variance",
    "judge",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _PLACES:
        return getattr(import_module(f"equipoise.statistics.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
