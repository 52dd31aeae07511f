"""Tuning on an equal budget: draws, their jobs, and the choice among them."""

from equipoise._moved import attributes_of

__getattr__ = attributes_of(__name__, "equipoise.training.tuning.draws")
