"""Bind a checkpoint to its run, job and plan: training goes on from what this very plan has trained, or not at all."""

from collections.abc import Mapping
from typing import Any

from equipoise.errors import LedgerError
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import CHECKPOINT


def of_job(job: Job, run: str) -> dict[str, str]:
    """Return what a checkpoint states of its origin. run: as `Job.run_hash` returns it."""
    return {"run": run, "job": job.name}


def refuse_foreign(job: Job, state: Mapping[str, Any], run: str) -> None:
    """Raise LedgerError for the state of another run, another job, or of more epochs than the plan has.

    Weights in it may have seen other cases, test cases too, in any number of epochs. run: as in `of_job`; empty where
    checkpoints name none, and only their epochs can be compared.
    """
    progress: Mapping[str, Any] = state["progress"]
    epoch, chosen, planned = progress["epoch"], progress["chosen_epoch"] or 0, job.training.epochs
    reason = ""
    if run and state.get("of") != of_job(job, run):
        reason = "belongs to another run or job"
    elif not chosen <= epoch == len(progress["history"]) <= planned:
        reason = f"is of epoch {epoch}, with {len(progress['history'])} validated, and the plan has {planned}"
    if reason:
        raise LedgerError(
            f"the checkpoint in {job.folder / CHECKPOINT} {reason}, so {job.name} cannot go on from it; restore the "
            "job's own, or remove that folder and run the same command again, which trains the job from its beginning"
        )
