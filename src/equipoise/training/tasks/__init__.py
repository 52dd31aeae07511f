"""Train, validate and predict each task: the half of each task that works with torch."""

from equipoise.training.tasks.task_training import Planes, TaskTraining, endpoint_of, training_of

__all__ = ["Planes", "TaskTraining", "endpoint_of", "training_of"]
