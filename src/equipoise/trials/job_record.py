"""What the ledger says of the jobs of a trial: which have ended, which were changed since, which begin again."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from equipoise.engines import local
from equipoise.engines.jobs import Engine, interrupted, run_jobs
from equipoise.engines.watching import Watching
from equipoise.errors import LedgerError
from equipoise.progress import remark
from equipoise.runfolder.chronology import ends
from equipoise.runfolder.evidence import end_of_job, sha256_of
from equipoise.runfolder.job import RUN, Job
from equipoise.runfolder.ledger import FAILED, FINISHED, OTHERWISE, RESTARTED, STARTED, VALIDATED, Event, Ledger
from equipoise.runfolder.paths import CHECKPOINT
from equipoise.runfolder.validated_epochs import history_digest, otherwise


def has_ended(job: Job) -> bool:
    """Return whether a job has ended and left its predictions, or what they need; False also where that is damaged."""
    try:
        done = job.done()
    except LedgerError:
        return False
    if done is None or done["status"] != FINISHED or job.draw is not None:  # a draw of tuning leaves no weights
        return done is not None
    if job.members and not _of_these_members(job, done):
        return False
    return job.weights_file.is_file() or job.predictions_file.is_file()


def _of_these_members(job: Job, done: Mapping[str, Any]) -> bool:
    """Return whether an ensemble was made of its members as they are now, or were when they left predictions."""
    recorded = done.get("members")
    if not isinstance(recorded, dict) or set(recorded) != {member.name for member in job.members}:
        return False
    if not all(has_ended(member) for member in job.members):
        return False
    return all(sha256_of(member.weights_file) in (recorded[member.name], None) for member in job.members)


def refuse_changed(job: Job, end: Event | None) -> None:
    """Raise LedgerError where a job's readable files are others than those that the ledger recorded at its end.

    Before its end is recorded: where they are those of another run. Files that are missing or damaged are no reason:
    the job is trained again, and the ledger says so.
    """
    if end is None and has_ended(job):
        run = job.run_hash()
        if run and (job.done() or {}).get(RUN) != run:
            raise LedgerError(
                f"{job.done_file} is of another run than that of this ledger; remove {job.folder}, and the same "
                "command trains the job"
            )
    files = {} if end is None else end.data.get("files") or {}
    if not files or not has_ended(job):
        return
    for name, digest in files.items():
        if sha256_of(job.folder / name) not in (digest, None):
            raise LedgerError(
                f"{job.folder / name} was changed after the job had ended; restore the original, or use a new run "
                "folder with --out"
            )


def begin(waiting: Sequence[Job], ledger: Ledger) -> None:
    """Record which jobs begin, and which begin again although they had ended; what these left is removed."""
    ended = ends(ledger.events)
    again = [job for job in waiting if job.name in ended]
    for job in again:
        remark(
            f"{job.name} had ended, but its files are missing or damaged; it is trained again, and the ledger records "
            "this"
        )
        for file in (job.done_file, job.predictions_file):
            file.unlink(missing_ok=True)
    if again:
        ledger.append(RESTARTED, jobs=[job.name for job in again])
    first = [job.name for job in waiting if job.name not in ended]
    if first:
        ledger.append(STARTED, jobs=first)


def record_end(job: Job, done: Mapping[str, Any], ledger: Ledger, several: Collection[str]) -> None:
    """Append the end of a job, with what it gave otherwise when it was trained before.

    done: the content of done.json. several: as `validated_otherwise` returns it.
    """
    kind = FINISHED if done["status"] == "finished" else FAILED
    end: dict[str, Any] = {"files": end_of_job(job.folder)}
    validated = history_digest(job.folder)
    end |= {} if validated is None else {VALIDATED: validated}
    other = otherwise(job, ledger, kind, end, several)
    if other:
        remark(f"{job.name} was trained before, and has {' and '.join(other)} now, so this trial is exploratory")
        end |= {OTHERWISE: other}
    ledger.append(kind, job=job.name, reason=done["reason"], **end)


def reason_of(job: Job, failure: local.Failure) -> str:
    """Return what may be written of a call that raised; where outputs hide names, not the text of an exception."""
    if not job.hides_names or failure.kind in (local.DIED, local.KILLED):
        return failure.text
    remark(f"job {job.name}: {failure.text}")
    return f"{failure.kind}, raised before or after its training; its text stands on the terminal of the run alone"


def run_waiting(waiting: list[Job], workers: Engine, watching: Watching) -> list[str]:
    """Run jobs to their ends; return why some of them were stopped, which is no failure of their arms."""
    stopped: list[str] = []
    for job, result in run_jobs(workers, "equipoise.training.jobs:train", waiting, watching):
        if interrupted(result):
            stopped.append(str(result))
        elif isinstance(result, local.Failure):
            job.write_end(status="failed", reason=reason_of(job, result))
        if job.draw is not None:
            shutil.rmtree(job.folder / CHECKPOINT, ignore_errors=True)  # a draw leaves its history, not its weights
    return stopped
