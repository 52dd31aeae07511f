"""The trials of a study → ranks, tables and a page."""

from equipoise._moved import attributes_of

__getattr__ = attributes_of(__name__, "equipoise.report.study.study")
