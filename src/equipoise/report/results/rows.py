"""The prediction rows of finished jobs, and the run of each row."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.runfolder.read import JobRecord


def part(jobs: Sequence[JobRecord], split: str) -> Predictions | None:
    """Return the rows of one split of all finished jobs; None where there are none."""
    tables = [job.predictions for job in jobs if job.predictions is not None]
    tables = [table.where(table.split == split) for table in tables]
    tables = [table for table in tables if len(table)]
    return concatenate(tables) if tables else None


def run_numbers(table: Predictions) -> Any:
    """Return for each row the number of its run (fold, seed)."""
    return np.unique(np.stack([table.fold, table.seed]), axis=1, return_inverse=True)[1].ravel()
