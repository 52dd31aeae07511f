"""LIDC-IDRI: the readers' outlines and ratings, CT series, and the consensus of readers."""

from equipoise._moved import attributes_of

__getattr__ = attributes_of(__name__, "equipoise.cohorts.lidc.outlines")
