"""Whether the networks of a trial are trained long enough to be judged: updates, by the bound that `init` uses."""

from typing import Any

from equipoise.configuration.budget import ENOUGH_UPDATES
from equipoise.runfolder.job import Job
from equipoise.statistics.reasons import Reason
from equipoise.trials.plan import Trial


def short_training(trial: Trial) -> Reason | None:
    """Return that networks get fewer updates than they need to be worth judging; None where all get enough.

    Arms that begin with trained weights need fewer, nnU-Net plans its own training, and an ensemble has none.
    """
    updates = [_updates(job, trial) for job in trial.jobs if _begins_untrained(job)]
    fewest = ENOUGH_UPDATES[trial.cohort.task_record.has_masks]
    return Reason("short_training", updates=min(updates), fewest=fewest) if updates and min(updates) < fewest else None


def length_record(trial: Trial) -> dict[str, Any]:
    """Return what the lock states of it, for the report: nothing where all networks get enough updates."""
    short = short_training(trial)
    return {} if short is None else {"short_training": short.facts}


def _updates(job: Job, trial: Trial) -> int:
    return job.training.updates_of(len(trial.folds[job.fold].train), job.spatial_dims)


def _begins_untrained(job: Job) -> bool:
    return job.arm.pretrained is None and job.arm.nnunet is None and not job.members
