"""Open the test set, once per look, and predict its cases with every run that has ended."""

from collections.abc import Sequence

from equipoise.engines import local
from equipoise.engines.jobs import Engine, interrupted, run_jobs
from equipoise.engines.watching import WatchingPredictions
from equipoise.errors import EquipoiseError, Interrupted
from equipoise.progress import Watch
from equipoise.runfolder.evidence import beside_predictions, sha256_of
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import JOB_PREDICTED, PREDICTED, REMOVED, TEST_OPENED, Ledger
from equipoise.runfolder.paths import candidates_beside
from equipoise.runfolder.predicted_jobs import digest_of_job
from equipoise.statistics.own import per_case_functions
from equipoise.training.inference.test_opening import open_test
from equipoise.training.preparation.staging import own_metrics
from equipoise.trials.opening import record_opening, record_predictions, register_results, register_unregistered
from equipoise.trials.plan import Trial


def _remove_unrecorded(finished: Sequence[Job], ledger: Ledger) -> None:
    """Remove predictions whose hashes no event holds, which an interrupted opening left; they are made again.

    Nothing shows that such a file is what the recorded weights answered: it may have been written by somebody since.
    The ledger keeps their digests, with which those that are made again are compared.
    """
    recorded = {name for event in ledger.events if event.kind == PREDICTED for name in event.data["sha256"]}
    left = [job for job in finished if job.name not in recorded and job.predictions_file.is_file()]
    if left:
        ledger.append(REMOVED, jobs={job.name: digest_of_job(job) for job in left})
        for job in left:
            job.predictions_file.unlink()


def predict_test(trial: Trial, ledger: Ledger, workers: Engine, watch: Watch, look: int | None) -> None:
    """Open the test set after every job (of a look) has ended; an interrupted opening is resumed as the same one."""
    finished = [job for job in trial.jobs if (job.done() or {}).get("status") == "finished"]
    _remove_unrecorded(finished, ledger)
    missing = [job for job in finished if not job.predictions_file.is_file()]
    openings = [event for event in ledger.events if event.kind == TEST_OPENED and event.data.get("look") == look]
    predicted = ledger.last(PREDICTED)
    complete = bool(openings) and predicted is not None and predicted.number > openings[-1].number
    lacked = bool(openings) and register_unregistered(trial, ledger, openings[-1])
    if complete and not missing:
        if lacked:  # one that never ends would count against later runs of the plan
            register_results(trial, ledger, finished, openings[-1])
        return
    # Recorded before the first test image is read. Predictions that are missing after a complete opening, because
    # somebody removed them, need a new opening, which makes the trial exploratory.
    opening = record_opening(trial, ledger, finished, look) if complete or not openings else openings[-1]
    own = per_case_functions(own_metrics(trial.protocol, trial.cohort), trial.protocol.folder)
    open_test(trial.cohort, trial.folds, trial.pipeline, trial.out, own, trial.protocol.training.targets)
    watching = WatchingPredictions(trial.how.stall_minutes, ledger.held)
    ended = run_jobs(workers, "equipoise.training.jobs:predict", missing, watching)
    for done, (job, result) in enumerate(ended, start=1):
        if interrupted(result):
            raise Interrupted(f"{result} during prediction; run the same command again")
        if isinstance(result, local.Failure):
            raise EquipoiseError(f"job {job.name} could not predict ({result}); run the same command again")
        ledger.append(JOB_PREDICTED, job=job.name, digest=digest_of_job(job))
        watch("predicting the test cases, jobs", done, len(missing))
    # Reports read these files much later; the hashes show whether they are still the files that were predicted here.
    files = {job.name: job.predictions_file for job in finished}
    hashes = {name: sha256_of(file) for name, file in files.items()}
    with_candidates = trial.cohort.task_record.has_findings
    lists = {name: candidates_beside(file) for name, file in files.items() if with_candidates}
    beside = {name: sha256_of(file) for name, file in lists.items()}
    everything = beside_predictions(trial.out, [job.folder for job in finished])
    kept = {"candidates_sha256": beside} if beside else {}
    record_predictions(trial, ledger, finished, opening, {"sha256": hashes, **kept, "files": everything})
