"""A run folder → the numbers of results.json."""

from equipoise._moved import attributes_of

__getattr__ = attributes_of(__name__, "equipoise.report.results.results")
