"""Runs that early stopping ended before their last epoch, so that the budget was equal only as a limit."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.runfolder.read import JobRecord
from equipoise.statistics.reasons import Reason


def stops(jobs: Sequence[JobRecord]) -> dict[str, Any] | None:
    """Return the number of an arm's jobs that stopped early, and their epochs; None where none did."""
    ended = [job.done["stopped_epoch"] for job in jobs if job.done.get("stopped_epoch") is not None]
    if not ended:
        return None
    return {"runs": len(ended), "of_runs": len(jobs), "epochs": ended, "of_epochs": jobs[0].done.get("epochs")}


def stop_warnings(arms: Sequence[Mapping[str, Any]]) -> list[Reason]:
    """Return a reason for each arm that spent less than its budget."""
    return [
        Reason("stopped_early", arm=arm["name"], **stopped)
        for arm in arms
        if (stopped := arm.get("stopped_early")) is not None
    ]
