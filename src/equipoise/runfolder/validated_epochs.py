"""Remember what each epoch of a job validated, before it can be read: the same plan validates the same again.

A job's folder can be deleted, and the job trained again; code of one's own may then start otherwise, and whoever looks
at the validation results in between chooses among trainings. So a digest of each epoch goes into a file of the user's
cache, one for each job of a run, after the checkpoint that holds the epoch and before history.csv: a job that resumes
repeats no epoch that stands there, and one that begins again gives equal digests.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from equipoise.plain_files import text_of
from equipoise.progress import remark
from equipoise.runfolder.evidence import WEIGHTS_FILE
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import FAILED, FINISHED, VALIDATED, Ledger
from equipoise.runfolder.paths import HISTORY
from equipoise.runfolder.registry_file import append, files_in, is_text, rows_of
from equipoise.runfolder.trained_seeds import register_validated
from equipoise.runfolder.training_registry import runs_of_the_plan

_FOLDER = "validated"
_DIGITS = 16
_END = 0
"""The epoch under which the outcome of a job is remembered."""
_TIMES = ("seconds",)
"""Columns of a history that another run of the same training changes."""


def digest_of(row: Mapping[str, float | str]) -> str:
    """Return the digest of one epoch, without its times. Raises ValueError for a value that is no number."""
    numbers = sorted((name, repr(float(value))) for name, value in row.items() if name not in _TIMES)
    return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()[:_DIGITS]


def history_digest(folder: Path) -> str | None:
    """Return the digest of all epochs in a job's history.csv; None where there is none that can be read."""
    try:
        head, *lines = (line.split(",") for line in text_of(folder / HISTORY).splitlines())
        digests = [digest_of(dict(zip(head, line, strict=True))) for line in lines]
    except (OSError, ValueError):
        return None
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:_DIGITS]


class EpochLog:
    """The validated epochs of one job, as the cache remembers them."""

    def __init__(self, job: Job, run: str) -> None:
        """Read what is known of a job. run: as `Job.run_hash` returns it; nothing is remembered where it is empty."""
        self.job, self.run, self._behind = job, run, 0
        rows = _rows(_file(run, job.name)) if run else ()
        self.known = {(one["epoch"], one["digest"]) for one in rows if _place(one) == self._place()}

    def _place(self) -> tuple[str, str]:
        return self.job.name, _arithmetic(self.job)

    def remember(self, history: Sequence[Mapping[str, float]]) -> None:
        """Append the epochs that are new; a cache that cannot be written causes a remark and no error."""
        # Those of an earlier call stand: a checkpoint holds them, and a retry begins behind it.
        rows, start = history[self._behind :], self._behind + 1
        self._behind = len(history)
        new = [one for one in enumerate(map(digest_of, rows), start=start) if one not in self.known]
        if not new:
            return
        if new[0][0] == 1:
            register_validated(self.job)
        self._append(new)

    def remember_end(self, status: str) -> None:
        """Append how the job ends: one that fails the second time may be left out for what the first time showed."""
        if (_END, status) not in self.known:
            self._append([(_END, status)])

    def _append(self, new: Sequence[tuple[int, str]]) -> None:
        self.known.update(new)
        name, arithmetic = self._place()
        rows = [{"job": name, "arithmetic": arithmetic, "epoch": epoch, "digest": digest} for epoch, digest in new]
        try:
            if self.run:
                append(_file(self.run, name), rows)
        except OSError as error:
            remark(f"the validation results of {self.job.name} could not be recorded ({error})")


def _arithmetic(job: Job) -> str:
    """Return precision and compiling, which a measurement may choose otherwise in another run of the plan."""
    return f"{job.training.precision} {job.training.compile}"


def _place(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["job"], row["arithmetic"]


def validated_otherwise(run: str) -> set[str]:
    """Return the jobs of a run, by name, of which an epoch has several results, or that ended in two ways.

    In this run, in a copy of it, or in another run of the same plan on this machine.
    """
    digests: dict[tuple[str, str, int], set[str]] = {}
    for one in (run, *runs_of_the_plan(run)) if run else ():
        for row in _all_rows(one):
            digests.setdefault((*_place(row), row["epoch"]), set()).add(row["digest"])
    return {name for (name, *_), several in digests.items() if len(several) > 1}


def otherwise(job: Job, ledger: Ledger, kind: str, end: Mapping[str, Any], several: Iterable[str]) -> list[str]:
    """Return what a job gave otherwise than when it was trained before, in words; nothing where it gave the same.

    kind, end: of the event that is about to record its end. several: as `validated_otherwise` returns it.
    """
    before = [one for one in ledger.events if one.kind in (FINISHED, FAILED) and one.data.get("job") == job.name]
    words = ["another outcome"] if any(one.kind != kind for one in before) else []
    weights = _weights(end)
    if any(None not in (weights, _weights(one.data)) and _weights(one.data) != weights for one in before):
        words.append("other weights")
    now = end.get(VALIDATED)
    changed = any(None not in (now, one.data.get(VALIDATED)) and one.data[VALIDATED] != now for one in before)
    if changed:
        words.append("other validation results")
    elif job.name in set(several) and not words:
        words.append("other validation results or another outcome")
    return words


def _weights(end: Mapping[str, Any]) -> Any:
    files = end.get("files")
    return files.get(WEIGHTS_FILE) if isinstance(files, Mapping) else None


def _file(run: str, job: str) -> str:
    return f"{_FOLDER}/{run}/{job}.jsonl"


def _all_rows(run: str) -> Iterator[Mapping[str, Any]]:
    """Yield what is known of all jobs of a run."""
    for file in files_in(f"{_FOLDER}/{run}"):
        yield from _rows(file)


def _rows(file: str) -> Iterator[Mapping[str, Any]]:
    try:
        yield from rows_of(file, _is_whole)
    except OSError as error:
        remark(f"earlier validation results could not be looked up ({error})")


def _is_whole(row: object) -> bool:
    return (
        isinstance(row, dict)
        and all(is_text(row.get(key)) for key in ("job", "arithmetic", "digest"))
        and type(row.get("epoch")) is int
    )
