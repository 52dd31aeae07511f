"""Prepare the cases of a cohort and apply the trivial baselines: the half of each task that needs no torch."""

from equipoise.training.preparation.task_preparation import Opening, TaskPreparation, prediction_rows, preparation_of

__all__ = ["Opening", "TaskPreparation", "prediction_rows", "preparation_of"]
