"""Numbers → how sure we are of them."""

from equipoise.statistics.endpoints import Endpoint, Kind
from equipoise.statistics.judgement import Comparison, Interval, Judgement, TypicalCase, Variance
from equipoise.statistics.judging import judge
from equipoise.statistics.power import Needed
from equipoise.statistics.ranking import Rank

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
