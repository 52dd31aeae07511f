"""Runs that early stopping ended before their epochs were spent: the budget was then equal as a limit only."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.runfolder.read import JobRecord
from equipoise.statistics.reasons import Reason


def stops(jobs: Sequence[JobRecord]) -> dict[str, Any] | None:
    """Of an arm's finished jobs: how many stopped early, after which epochs, and of how many; None where none did."""
    ended = [job.done["stopped_epoch"] for job in jobs if job.done.get("stopped_epoch") is not None]
    if not ended:
        return None
    return {"runs": len(ended), "of_runs": len(jobs), "epochs": ended, "of_epochs": jobs[0].done.get("epochs")}


def stop_warnings(arms: Sequence[Mapping[str, Any]]) -> list[Reason]:
    """A reason for each arm that spent less than its budget."""
    return [
        Reason("stopped_early", arm=arm["name"], **stopped)
        for arm in arms
        if (stopped := arm.get("stopped_early")) is not None
    ]
