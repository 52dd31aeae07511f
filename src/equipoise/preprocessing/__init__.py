"""Case → arrays for a model and back: deterministic, saved with the model as data; numpy and scipy only."""

from equipoise.preprocessing.pipeline import Pipeline, Prepared, Record
from equipoise.preprocessing.prepare import prepare

__all__ = ["Pipeline", "Prepared", "Record", "prepare"]
