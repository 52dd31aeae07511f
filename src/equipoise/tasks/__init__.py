"""Tasks: one record per task with all that a trial must know. A user's own task is named as `module:attribute`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equipoise.errors import ProtocolError
from equipoise.lookup import imported, nearest
from equipoise.tasks.classification import CLASSIFICATION
from equipoise.tasks.detection import DETECTION
from equipoise.tasks.segmentation import SEGMENTATION
from equipoise.tasks.task import FINDINGS, LABEL, MASK, Task

__all__ = [
    "CLASSIFICATION", "DETECTION", "FINDINGS", "LABEL", "LOSSES", "MASK", "SEGMENTATION", "TASKS", "Task",
    "recorded_task", "task_named",
]  # fmt: skip

# The order is that of error messages and documentation: the most common task first.
TASKS: Mapping[str, Task] = {task.name: task for task in (CLASSIFICATION, SEGMENTATION, DETECTION)}
LOSSES = tuple(dict.fromkeys(loss for task in TASKS.values() for loss in task.losses))
"""Every built-in loss."""


def task_named(name: str, folder: Path | None = None) -> Task:
    """Return the record of a built-in task, or of the user's own: `module:attribute`, `folder` searched first.

    Raises ProtocolError for an unknown name, and where the user's own cannot be imported or is no Task.
    """
    if name in TASKS:
        return TASKS[name]
    if ":" not in name:
        raise ProtocolError(
            f"cohort.task {name!r} is unknown; {nearest(name, TASKS)}, or your own as 'module:attribute'"
        )
    task = imported(name, "task", folder)
    if not isinstance(task, Task):
        raise ProtocolError(f"cohort.task {name!r} is a {type(task).__name__}; it must be an equipoise.tasks.Task")
    return task


def recorded_task(cohort: Mapping[str, Any]) -> Task | None:
    """Return the task in the cohort description of a lock or of results; None for predictions without a task."""
    name = cohort.get("task")
    return None if name is None else task_named(str(name))
