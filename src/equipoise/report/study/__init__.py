"""Ranks, tables and a page from the trials of a study."""

from equipoise._moved import attributes_of

__getattr__ = attributes_of(__name__, "equipoise.report.study.study")
