"""Turn cases into arrays for a model, and predictions back: deterministic, saved as data, numpy and scipy only."""

from equipoise.preprocessing.pipeline import Pipeline, Prepared, Record
from equipoise.preprocessing.prepare import prepare, prepare_in_chunks

__all__ = ["Pipeline", "Prepared", "Record", "prepare", "prepare_in_chunks"]
