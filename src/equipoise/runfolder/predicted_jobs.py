"""What each job predicted, remembered before its predictions lie on the disk.

Predictions of single jobs hold the truth and can be read before an opening of the test set has ended. Whoever reads
them, interrupts the opening and has the jobs answer otherwise has chosen with the numbers in sight. So a digest of each
job's predictions goes into the registry of this machine before the file is written, and into the ledger afterwards.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import EquipoiseError
from equipoise.evaluation.candidate_table import CandidateTable
from equipoise.evaluation.predictions import Predictions, read_parquet
from equipoise.progress import remark
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import JOB_PREDICTED, REMOVED, Event, Ledger
from equipoise.runfolder.opening_registry import OF_CANDIDATES, job_digests, register_job

_AS_NAMED: Mapping[str, str] = {}


def digest_of(predictions: Mapping[str, Predictions], names: Mapping[str, str] = _AS_NAMED) -> str:
    """Return a hash of the predictions of all jobs, by the true names of cases: pseudonyms differ with the user's key.

    Numbers count to six digits behind the point; another machine may round the next one otherwise.
    """
    state, with_candidates = hashlib.sha256(), False
    for job, table in sorted(predictions.items()):
        true = np.array([names.get(case, case) for case in table.case.tolist()])
        order = np.argsort(true, kind="stable")
        numbers = [*table.scores.T, *(table.metrics[name] for name in sorted(table.metrics))]
        state.update(json.dumps([job, true[order].tolist(), table.truth[order].tolist()]).encode())
        for column in numbers:
            state.update(_rounded(column[order]))
        if table.candidates is not None:
            with_candidates = True
            _add_candidates(state, table.candidates, names)
    return f"{OF_CANDIDATES if with_candidates else ''}{state.hexdigest()}"


def _add_candidates(state: "hashlib._Hash", table: CandidateTable, names: Mapping[str, str]) -> None:
    true = np.array([names.get(case, case) for case in table.case.tolist()], dtype=np.str_)
    order = np.lexsort((table.finding, table.candidate, true))
    state.update(json.dumps([true[order].tolist(), table.candidate[order].tolist()]).encode())
    state.update(json.dumps([table.finding[order].tolist(), table.irrelevant[order].tolist()]).encode())
    state.update(_rounded(table.score[order]))
    state.update(_rounded(table.place_mm[order]))


def _rounded(values: NDArray[np.generic]) -> bytes:
    # Zero is added because -0.0 and 0.0 are one number with two sets of bytes.
    return (np.round(np.asarray(values, dtype=np.float64), 6) + 0.0).tobytes()


def digest_of_job(job: Job) -> str | None:
    """Return the digest of the predictions in a job's file, by the names of cases there; None where it is no table."""
    try:
        return digest_of({job.name: read_parquet(job.predictions_file)})
    except EquipoiseError:
        return None


def remember(job: Job, table: Predictions) -> None:
    """Enter what a job is about to write into the registry of this machine; in the process that predicts."""
    folder = job.run_folder
    try:
        events = [] if folder is None else Ledger(folder).events
    except EquipoiseError as error:
        remark(f"the predictions of {job.name} could not be recorded for later trials ({error})")
        return
    if events:  # none of a job without a trial, as tests and benchmarks have them
        register_job(events[0].hash, job.name, digest_of({job.name: table}))


def changed_jobs(ledger: Ledger, now: Mapping[str, str]) -> list[str]:
    """Return the jobs whose predictions, made again, differ from what they, or a copy of this run, predicted before.

    now: the digest of every job.
    """
    before = job_digests(ledger.events[0].hash)
    for event in ledger.events:
        for job, digest in _digests_in(event):
            if isinstance(job, str) and isinstance(digest, str):
                before.setdefault(job, set()).add(digest)
    return sorted(job for job, digest in now.items() if before.get(job, set()) - {digest})


def _digests_in(event: Event) -> list[tuple[Any, Any]]:
    """Return the jobs and digests that an event names, of whatever type a damaged ledger has them."""
    if event.kind == JOB_PREDICTED:
        return [(event.data.get("job"), event.data.get("digest"))]
    jobs = event.data.get("jobs")
    return list(jobs.items()) if event.kind == REMOVED and isinstance(jobs, dict) else []
