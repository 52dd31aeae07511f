"""Cohorts → prepared cases, and the trivial rules beside the arms: the half of each task that needs no torch."""

from equipoise.training.preparation.task_preparation import Opening, TaskPreparation, prediction_rows, preparation_of

__all__ = ["Opening", "TaskPreparation", "prediction_rows", "preparation_of"]
