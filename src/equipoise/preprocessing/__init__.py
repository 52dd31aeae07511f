"""Turn cases into arrays for a model, and predictions back: deterministic, saved as data, numpy and scipy only."""

from equipoise.preprocessing.pipeline import Pipeline, Prepared, Record
from equipoise.preprocessing.prepare import prepare

__all__ = ["Pipeline", "Prepared", "Record", "prepare"]
