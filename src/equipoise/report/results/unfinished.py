"""How far a trial is whose test set has not been opened: epochs behind it, and the newest validation values."""

from typing import Any

import numpy as np

from equipoise.runfolder.read import RunFolder


def unfinished(run: RunFolder) -> dict[str, Any] | None:
    """Return the progress of a trial before its opening of the test set; None after it, and for an audit.

    jobs, ended: training runs in all, and those that have ended; epochs: completed ones of all runs; validation: per
    arm the mean over its runs of the newest value of the primary endpoint on validation patients, None without one.
    """
    # A record that is missing or damaged says nothing about an opening; its report names that instead.
    if run.sources or run.ledger.test_openings or not run.ledger.events:
        return None
    column = f"validation_{run.lock['endpoints']['primary']}"
    newest: dict[str, list[float]] = {arm: [] for arm in run.arms()}
    for job in run.jobs:
        values = job.history.get(column)
        if values is not None and len(values) and np.isfinite(values[-1]):
            newest.setdefault(job.arm, []).append(float(values[-1]))
    return {
        "jobs": len(run.jobs),
        "ended": sum(bool(job.done) for job in run.jobs),
        "epochs": sum(len(job.history.get("epoch", ())) for job in run.jobs),
        "validation": {arm: float(np.mean(values)) if values else None for arm, values in newest.items()},
    }
