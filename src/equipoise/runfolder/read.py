"""Read a run folder without trusting it: a missing or corrupt file becomes a named problem, never a traceback.

This is the only reader: reports, trials and studies read the files of a run through these functions.
"""

import csv
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import LedgerError, PredictionError
from equipoise.evaluation.predictions import Predictions, read_parquet
from equipoise.plain_files import opened, text_of
from equipoise.runfolder.ledger import PREDICTED, Ledger
from equipoise.runfolder.ledger_state import LedgerState as LedgerState
from equipoise.runfolder.ledger_state import open_ledger, state_of
from equipoise.runfolder.lock_form import check_done, check_lock
from equipoise.runfolder.openings import up_to_look
from equipoise.runfolder.paths import (
    ATTRIBUTION_MAPS,
    ATTRIBUTIONS,
    BASELINES,
    CASES,
    DONE,
    HISTORY,
    LOCK,
    PICTURES,
    PREDICTIONS,
    RATES,
    RESULTS,
    SLICES,
    STUDY_PLAN,
    THUMBNAILS,
    baseline_folders,
    draw_folder,
    job_folder,
    job_name,
)
from equipoise.runfolder.verify_content import without_foreign_tables
from equipoise.sinks import original

_LOCK_KEYS = ("protocol_sha256", "question", "name", "cohort", "split", "endpoints", "arms", "seeds", "jobs")
_UNREADABLE = (OSError, ValueError, TypeError, RecursionError)
"""Exceptions of a damaged text or JSON file; invalid UTF-8 and invalid JSON are ValueErrors."""
Planes = dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class JobRecord:
    """One training run (or one fitted baseline) with its files.

    status: "finished", "failed" (recorded by the run) or "missing" (a file is missing or not readable).
    history: columns of history.csv by name, each (epochs,); empty where there is none.
    rates: columns of rates.csv, which optimizers with reported learning rates write.
    draw: the number of a draw of tuning, which keeps only its history; None for a run of the trial.
    """

    arm: str
    fold: int
    seed: int
    status: str
    reason: str | None = None
    done: dict[str, Any] = field(default_factory=dict)
    history: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    predictions: Predictions | None = None
    rates: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    draw: int | None = None

    @property
    def name(self) -> str:
        """The job's name in the ledger."""
        return job_name(self.arm, self.fold, self.seed)


@dataclass(frozen=True)
class RunFolder:
    """A run folder in memory; `problems` are sentences about pieces that are missing or corrupt.

    sources: the files of an audit's predictions (path, kind, arms, cases, sha256, columns); empty for a trial.
    lists: the files beside them (path, kind, cases, sha256, columns). readings: how columns were read, in sentences.
    trusted: whether code that the lock names may be run (see `own_code`).
    outlines: an audit's masks by (arm, case), as planes for pictures; the arm "" is the truth.
    """

    path: Path
    lock: dict[str, Any]
    cases: tuple[dict[str, str], ...]
    jobs: tuple[JobRecord, ...]
    baselines: tuple[JobRecord, ...]
    thumbnails: Mapping[str, NDArray[np.uint8]]
    ledger: LedgerState
    problems: tuple[str, ...] = ()
    draws: tuple[JobRecord, ...] = ()
    sources: tuple[Mapping[str, Any], ...] = ()
    lists: tuple[Mapping[str, Any], ...] = ()
    readings: tuple[str, ...] = ()
    trusted: bool = False
    outlines: Mapping[tuple[str, str], NDArray[np.uint8]] = field(default_factory=dict)

    def arms(self) -> list[str]:
        """Return the names of the arms in the order of the plan."""
        return [str(arm["name"]) for arm in self.lock["arms"]]

    @property
    def tuning(self) -> dict[str, Any] | None:
        """The plan of tuning; None for a trial without tuning."""
        tuning: dict[str, Any] | None = self.lock.get("tuning")
        return tuning

    def untuned(self) -> list[dict[str, Any]]:
        """Return the plans of the untuned twins, in the order of their arms."""
        return [] if self.tuning is None else list(self.tuning["untuned"])

    def finished(self, arm: str) -> list[JobRecord]:
        """Return the jobs of one arm, or the baseline of that name, that ended with predictions."""
        return [job for job in (*self.jobs, *self.baselines) if job.arm == arm and job.status == "finished"]


def read_folder(path: Path, trusted: bool = False) -> RunFolder:
    """Read a run folder; raises LedgerError only where lock.json, which holds the plan, is missing or not readable.

    trusted: whether code that the folder names may be run.
    """
    whole = read_lock(path)
    problems: list[str] = []
    record = open_ledger(path)
    lock = up_to_look(whole, record.look(whole))
    jobs, draws = tuple(_read_job(path, plan) for plan in lock["jobs"]), _read_draws(path, lock)
    baselines = tuple(_read_baseline(*place) for place in baseline_folders(path))
    if not baselines:
        problems.append(f"the folder {BASELINES}/ is missing or empty, so nothing says what a trivial rule reaches")
    problems += [f"baseline {job.arm}: {job.reason}" for job in baselines if job.status != "finished"]
    cases, complaint = cases_of(path)
    problems += [complaint] if complaint else []
    thumbnails, complaint = _read_thumbnails(path / THUMBNAILS)
    problems += [complaint] if complaint else []
    jobs, foreign = without_foreign_tables(lock, cases, jobs)
    baselines, more = without_foreign_tables(lock, cases, baselines)
    # With the whole plan: the ledger may be ahead of the look that is reported.
    ledger = state_of(record, path, whole, cases, jobs, baselines, trusted, [*foreign, *more])
    return RunFolder(path, lock, cases, jobs, baselines, thumbnails, ledger, tuple(problems), draws, trusted=trusted)


def read_lock(folder: Path) -> dict[str, Any]:
    """Read the plan of a run folder; raises LedgerError where it is missing or damaged."""
    path = folder / LOCK
    try:
        lock = dict(json.loads(text_of(path)))
    except FileNotFoundError as error:
        raise LedgerError(f"{folder} is not a run folder: it has no {LOCK}; name the folder of a run") from error
    except _UNREADABLE as error:
        raise LedgerError(f"{path} is not readable ({error}); restore it, or run the trial again") from error
    missing = [key for key in _LOCK_KEYS if key not in lock]
    if missing:
        raise LedgerError(f"{path} has no {missing[0]!r}; restore it, or run the trial again")
    check_lock(path, lock)
    return lock


def read_results(folder: Path) -> dict[str, Any] | None:
    """Read the results of a run folder; None where there are none yet. Raises LedgerError where they are damaged."""
    return _read_json(folder / RESULTS, "make the report again")


def read_study_plan(folder: Path) -> dict[str, Any]:
    """Read the plan of a study; raises LedgerError where the folder holds none, or the plan is damaged."""
    plan = _read_json(folder / STUDY_PLAN, "restore it, or run the study again")
    if plan is None:
        raise LedgerError(f"{folder} holds no study: it has no {STUDY_PLAN}; name the folder of a study")
    return plan


def read_done(folder: Path) -> dict[str, Any] | None:
    """Read how a job ended; None while it has not. Raises LedgerError where the file is damaged."""
    done = _read_json(folder / DONE, "delete it and resume the run")
    if done is not None:
        check_done(folder / DONE, done)
    return done


def _read_json(path: Path, remedy: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(text_of(path)))
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        raise LedgerError(f"{path} is not readable ({error}); {remedy}") from error


def is_predicted(folder: Path) -> bool:
    """Return whether a trial has test predictions; before, its arms cannot be compared.

    True for a broken or lost ledger: the trial's own report then names the problem.
    """
    if not (folder / LOCK).is_file():
        return False
    try:
        ledger = Ledger(folder)
    except LedgerError:
        return True
    return not ledger.events or ledger.last(PREDICTED) is not None


def _read_job(path: Path, plan: dict[str, Any]) -> JobRecord:
    arm, fold, seed = str(plan["arm"]), int(plan["fold"]), int(plan["seed"])
    folder = job_folder(path, arm, fold, seed)
    job = _read_training(folder, JobRecord(arm, fold, seed, "finished"))
    if job.status != "finished":
        return job
    predictions, complaint = _read_predictions(folder / PREDICTIONS)
    status = "missing" if predictions is None else "finished"
    return replace(job, status=status, reason=complaint, predictions=predictions)


def _read_draws(path: Path, lock: dict[str, Any]) -> tuple[JobRecord, ...]:
    """Read every planned draw of every fold."""
    arms = (lock.get("tuning") or {}).get("arms", {})
    return tuple(
        _read_training(draw_folder(path, arm, fold, draw), JobRecord(arm, fold, draw, "finished", draw=draw))
        for arm, plan in arms.items()
        for fold in range(len(lock["split"]["folds"]))
        for draw in range(len(plan["draws"]))
    )


def _read_training(folder: Path, job: JobRecord) -> JobRecord:
    """Read how a training ended, its history and its rates."""
    done, complaint = _read_done(folder)
    history, rates = (read_history(folder / name) for name in (HISTORY, RATES))
    if done is None:
        return replace(job, status="missing", reason=complaint, history=history, rates=rates)
    # A failed job keeps its history: the curve often shows why it failed.
    if done.get("status") != "finished":
        reason = str(done.get("reason") or "no reason recorded")
        return replace(job, status="failed", reason=reason, done=done, history=history, rates=rates)
    return replace(job, done=done, history=history, rates=rates)


def _read_baseline(folder: Path, rule: str, fold: int, seed: int) -> JobRecord:
    done, _ = _read_done(folder)
    predictions, complaint = _read_predictions(folder / PREDICTIONS)
    status = "missing" if predictions is None else "finished"
    return JobRecord(rule, fold, seed, status, complaint, done or {}, predictions=predictions)


def _read_done(folder: Path) -> tuple[dict[str, Any] | None, str | None]:
    try:
        done = read_done(folder)
    except LedgerError as error:
        # Without the folder: the text becomes part of results.json, which must not depend on where a run lies.
        return None, str(error).replace(str(folder / DONE), DONE)
    return done, None if done is not None else f"{DONE} is missing: the run did not end; the same command resumes it"


def _read_predictions(path: Path) -> tuple[Predictions | None, str | None]:
    if not path.is_file():
        return None, f"{path.name} is missing; the same command writes it again"
    try:
        return read_parquet(path), None
    except PredictionError as error:
        return None, str(error).replace(str(path), path.name)


def read_history(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read columns of numbers by name, each (rows,): history.csv or rates.csv of a job.

    An incomplete last line (a crash while writing) is left out; a missing or unreadable file has no columns.
    """
    try:
        with io.TextIOWrapper(opened(path), encoding="utf-8", newline="") as file:
            # DictReader marks a line with too few fields by a None value, one with too many by a None key.
            rows = [row for row in csv.DictReader(file) if None not in row.values() and None not in row]
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    columns = rows[0].keys() if rows else ()
    return {original(str(name)): np.array([_number(row[name]) for row in rows]) for name in columns}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def cases_of(folder: Path) -> tuple[tuple[dict[str, str], ...], str | None]:
    """Read a run folder's table of cases, in the order of its cohort; none where it is damaged, and the reason."""
    path = folder / CASES
    try:
        with io.TextIOWrapper(opened(path), encoding="utf-8", newline="") as file:
            rows = tuple(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return (), f"{path.name} is not readable ({error}), so patients per part are counted from lock.json alone"
    # DictReader marks a line with too few fields by a None value, one with too many by a None key.
    torn = any(None in row or None in row.values() for row in rows)
    if torn or (rows and not {"case", "patient"} <= rows[0].keys()):
        return (), f"{path.name} is not a table of cases, so patients per part are counted from lock.json alone"
    return tuple({original(name): original(value) for name, value in row.items()} for row in rows), None


def _read_thumbnails(path: Path) -> tuple[Planes, str | None]:
    if not path.is_file():
        return {}, f"{path.name} is missing, so example cases are listed without pictures"
    try:
        pictures = _arrays(path)
    except _NO_ARRAYS as error:
        return {}, f"{path.name} is not readable ({error}), so example cases are listed without pictures"
    return {name: picture for name, picture in pictures.items() if picture.ndim == 2}, None


_NO_ARRAYS = (
    OSError,
    ValueError,
    KeyError,
    NotImplementedError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)
"""Exceptions of a damaged archive of arrays."""


def _arrays(path: Path) -> Planes:
    # Never pickle: a run folder may come from someone else, and unpickling would run its code.
    # Opened here, because numpy leaves the file of a broken archive open.
    with opened(path) as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_planes(path: Path) -> Planes:
    """Read the arrays of a .npz file by name; none where it is missing or unreadable (pages then lack pictures)."""
    try:
        return _arrays(path)
    except _NO_ARRAYS:
        return {}


def read_slices(folder: Path, job: JobRecord) -> Planes:
    """Read the slice that a job kept per test case for pictures; none where the file is missing or unreadable."""
    return read_planes(job_folder(folder, job.arm, job.fold, job.seed) / SLICES)


def read_places(folder: Path) -> dict[str, dict[str, Any]]:
    """Read spacing and sides of the pictures of test cases by case; none where they are unknown or unreadable."""
    try:
        places = _read_json(folder / PICTURES, "delete it")
    except LedgerError:
        return {}  # pictures are an addition: a damaged file of them must not prevent the report
    return {name: place for name, place in (places or {}).items() if isinstance(place, dict)}


def read_attributions(folder: Path) -> tuple[dict[str, Any], Planes] | None:
    """Read the checks of a run's attribution maps, and the maps by case; None where there are none.

    Raises LedgerError where either file is damaged. Without maps where their computation failed.
    """
    if not folder.is_dir():  # an audit has no run folder, and names the null device in its place
        return None
    checks = _read_json(folder / ATTRIBUTIONS, "delete it and run the same command")
    if checks is None or "failed" in checks:
        return None if checks is None else (checks, {})
    try:
        return checks, _arrays(folder / ATTRIBUTION_MAPS)
    except _NO_ARRAYS as error:
        raise LedgerError(f"{folder / ATTRIBUTION_MAPS} is not readable ({error})") from error
