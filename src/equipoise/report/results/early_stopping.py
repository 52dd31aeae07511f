"""Runs that early stopping ended before their epochs were spent: the budget was then equal as a limit only."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.report.text.words import plural
from equipoise.runfolder.read import JobRecord


def stops(jobs: Sequence[JobRecord]) -> dict[str, Any] | None:
    """Of an arm's finished jobs: how many stopped early, after which epochs, and of how many; None where none did."""
    ended = [job.done["stopped_epoch"] for job in jobs if job.done.get("stopped_epoch") is not None]
    if not ended:
        return None
    return {"runs": len(ended), "of_runs": len(jobs), "epochs": ended, "of_epochs": jobs[0].done.get("epochs")}


def stop_warnings(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each arm that spent less than its budget."""
    return [
        f"{arm['name']} stopped early in {found['runs']} of {plural(found['of_runs'], 'run')}, after "
        f"{_range(found['epochs'])} of {found['of_epochs']} epochs: it spent less than its budget."
        for arm in arms
        if (found := arm.get("stopped_early")) is not None
    ]


def budget_in_words(arms: Sequence[Mapping[str, Any]]) -> str:
    """The budget for the methods paragraph: equal, or an equal limit.

    >>> budget_in_words([{"stopped_early": None}])
    'an equal budget of epochs'
    """
    found = [arm["stopped_early"] for arm in arms if arm.get("stopped_early") is not None]
    if not found:
        return "an equal budget of epochs"
    runs = sum(one["runs"] for one in found)
    return f"an equal limit of epochs, before which early stopping ended {plural(runs, 'run')}"


def _range(epochs: Sequence[int]) -> str:
    low, high = min(epochs), max(epochs)
    return str(low) if low == high else f"{low} to {high}"
