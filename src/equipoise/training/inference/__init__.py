"""Predict with trained jobs, once every job of the plan has ended."""

from equipoise._moved import attributes_of

__getattr__ = attributes_of(__name__, "equipoise.training.inference.inference")
