"""Refuse to go on with a trial on another kind of machine, where the user asks for one kind only (`--alike`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from equipoise.errors import LedgerError
from equipoise.runfolder.environments import environment_changes
from equipoise.runfolder.job import Job
from equipoise.runfolder.read import read_lock
from equipoise.trials.job_record import has_ended


def refuse_unlike(folder: Path, jobs: Sequence[Job], now: Mapping[str, Any]) -> None:
    """Raise LedgerError where the plan was locked, or a job trained, in another environment than `now`."""
    recorded = [("the plan was locked", read_lock(folder).get("environment"))]
    recorded += [
        (f"job {job.name} was trained", (job.done() or {}).get("environment")) for job in jobs if has_ended(job)
    ]
    for what, before in recorded:
        changes = environment_changes(before, now) if isinstance(before, Mapping) else []
        if changes:
            raise LedgerError(
                f"--alike: {what} in another environment ({', '.join(changes)}); run the same command on the machine "
                "where the trial started, or leave out --alike, and the report names the difference"
            )
