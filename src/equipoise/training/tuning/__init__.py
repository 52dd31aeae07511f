"""Tune on an equal budget: random draws of settings, their jobs, and the choice of one draw."""

from equipoise._moved import attributes_of

__getattr__ = attributes_of(__name__, "equipoise.training.tuning.draws")
