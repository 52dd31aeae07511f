"""What lies in a run folder, read without trust: a piece that is missing or corrupt is named, never a traceback.

The only reader: reports, trials and studies read what a run left through these functions.
"""

import csv
import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import LedgerError, PredictionError, ProtocolError
from equipoise.evaluation.predictions import Predictions, read_parquet
from equipoise.protocol import Protocol
from equipoise.runfolder.ledger import LOCKED, PREDICTED, SETTLED, Ledger
from equipoise.runfolder.openings import openings, up_to_look
from equipoise.runfolder.paths import (
    ATTRIBUTION_MAPS,
    ATTRIBUTIONS,
    BASELINES,
    CANDIDATES,
    CASES,
    DONE,
    HISTORY,
    LEDGER,
    LOCK,
    PREDICTIONS,
    PROTOCOL,
    RATES,
    RESULTS,
    SLICES,
    STUDY_PLAN,
    THUMBNAILS,
    baseline_folders,
    draw_folder,
    job_file,
    job_folder,
)

_LOCK_KEYS = ("protocol_sha256", "question", "name", "cohort", "split", "endpoints", "arms", "seeds", "jobs")
_UNREADABLE = (OSError, ValueError, TypeError, RecursionError)
"""What a damaged file of text or JSON raises; bytes that are no UTF-8 and broken JSON are ValueErrors."""
Planes = dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class JobRecord:
    """One training run (or one fitted baseline) and what it left.

    status: "finished", "failed" (recorded by the run) or "missing" (a piece is not there or not readable).
    history: columns of history.csv by name, each (epochs,); empty where there is none.
    rates: columns of rates.csv, which optimizers that tell their learning rates leave.
    draw: the number of a draw of tuning, whose history is all that it leaves; None for a run of the trial.
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


@dataclass(frozen=True)
class LedgerState:
    """What the record says: openings of the test set, whether its chain holds, a changed plan.

    unplanned: openings that the plan does not name. look: number of seeds of the last planned look that was taken.
    settled: the precision and compiling that a measurement chose for all arms, and what it saw; None where the plan
    stated them.
    """

    test_openings: int
    verified: bool
    problem: str | None = None
    plan_changed: bool = False
    unplanned: int = 0
    look: int | None = None
    settled: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class RunFolder:
    """A run folder in memory; `problems` are sentences about pieces that are missing or corrupt.

    sources: the files of predictions made elsewhere (path, kind, arms, cases, sha256); empty for a trial of our own.
    """

    path: Path
    lock: dict[str, Any]
    cases: tuple[dict[str, str], ...]
    jobs: tuple[JobRecord, ...]
    baselines: tuple[JobRecord, ...]
    thumbnails: Planes
    ledger: LedgerState
    problems: tuple[str, ...] = ()
    draws: tuple[JobRecord, ...] = ()
    sources: tuple[Mapping[str, Any], ...] = ()

    def arms(self) -> list[str]:
        """Names of the arms in the order of the plan."""
        return [str(arm["name"]) for arm in self.lock["arms"]]

    @property
    def tuning(self) -> dict[str, Any] | None:
        """What the plan says of tuning; None where nothing was tuned."""
        found: dict[str, Any] | None = self.lock.get("tuning")
        return found

    def untuned(self) -> list[dict[str, Any]]:
        """The plans of the untuned twins, in the order of the arms that they stand beside."""
        return [] if self.tuning is None else list(self.tuning["untuned"])

    def finished(self, arm: str) -> list[JobRecord]:
        """The jobs of one arm, or the baseline of that name, that ended with predictions."""
        return [job for job in (*self.jobs, *self.baselines) if job.arm == arm and job.status == "finished"]


def read_folder(path: Path) -> RunFolder:
    """Read a run folder; raises LedgerError only where there is no readable lock.json to say what was planned."""
    lock = read_lock(path)
    problems: list[str] = []
    try:
        ledger = _read_ledger(path, lock)
        lock = up_to_look(lock, ledger.look)
        jobs, draws = tuple(_read_job(path, plan) for plan in lock["jobs"]), _read_draws(path, lock)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LedgerError(f"{path / LOCK} names no jobs that could be read ({error!r}); restore it") from error
    baselines = tuple(_read_baseline(*place) for place in baseline_folders(path))
    if not baselines:
        problems.append(f"the folder {BASELINES}/ is missing or empty, so nothing says what a trivial rule reaches")
    problems += [f"baseline {job.arm}: {job.reason}" for job in baselines if job.status != "finished"]
    cases, complaint = _read_cases(path / CASES)
    problems += [complaint] if complaint else []
    thumbnails, complaint = _read_thumbnails(path / THUMBNAILS)
    problems += [complaint] if complaint else []
    return RunFolder(path, lock, cases, jobs, baselines, thumbnails, ledger, tuple(problems), draws)


def read_lock(folder: Path) -> dict[str, Any]:
    """The plan of a run folder; raises LedgerError where there is none, or it is damaged."""
    path = folder / LOCK
    try:
        lock = dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise LedgerError(f"{folder} is no run folder: it has no {LOCK}; name the folder of a run") from error
    except _UNREADABLE as error:
        raise LedgerError(f"{path} is not readable ({error}); restore it, or run the trial again") from error
    missing = [key for key in _LOCK_KEYS if key not in lock]
    if missing:
        raise LedgerError(f"{path} has no {missing[0]!r}; restore it, or run the trial again")
    return lock


def read_results(folder: Path) -> dict[str, Any] | None:
    """The results of a run folder; None where there are none yet. Raises LedgerError where they are damaged."""
    return _read_json(folder / RESULTS, "make the report again")


def read_study_plan(folder: Path) -> dict[str, Any]:
    """What a study consists of; raises LedgerError where the folder holds none, or its plan is damaged."""
    plan = _read_json(folder / STUDY_PLAN, "restore it, or run the study again")
    if plan is None:
        raise LedgerError(f"{folder} holds no study: it has no {STUDY_PLAN}; name the folder of a study")
    return plan


def read_done(folder: Path) -> dict[str, Any] | None:
    """How a job ended; None while it has not. Raises LedgerError where the file is damaged."""
    return _read_json(folder / DONE, "delete it and resume the run")


def _read_json(path: Path, remedy: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        raise LedgerError(f"{path} is not readable ({error}); {remedy}") from error


def is_predicted(folder: Path) -> bool:
    """Whether a trial has got as far as test predictions; before, there is nothing to compare.

    A record that is broken or lost says yes: the trial's own report tells what is wrong with it.
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
    """Every draw that the plan names, in every fold."""
    arms = (lock.get("tuning") or {}).get("arms", {})
    return tuple(
        _read_training(draw_folder(path, arm, fold, draw), JobRecord(arm, fold, draw, "finished", draw=draw))
        for arm, plan in arms.items()
        for fold in range(len(lock["split"]["folds"]))
        for draw in range(len(plan["draws"]))
    )


def _read_training(folder: Path, job: JobRecord) -> JobRecord:
    """What a training left of itself: how it ended, its history and its rates."""
    done, complaint = _read_done(folder)
    history, rates = (read_history(folder / name) for name in (HISTORY, RATES))
    if done is None:
        return replace(job, status="missing", reason=complaint, history=history, rates=rates)
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
        return None, str(error).replace(str(folder / DONE), DONE)
    return done, None if done is not None else f"{DONE} is missing: the run did not end; the same command resumes it"


def _read_predictions(path: Path) -> tuple[Predictions | None, str | None]:
    if not path.is_file():
        return None, f"{path.name} is missing; the same command makes it again"
    try:
        return read_parquet(path), None
    except PredictionError as error:
        return None, str(error).replace(str(path), path.name)


def read_history(path: Path) -> dict[str, NDArray[np.float64]]:
    """Columns of numbers by name, each (rows,): history.csv or rates.csv of a job.

    A torn last line (a crash while writing) is left out; a file that is not there or not readable has no column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values() and None not in row]
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    columns = rows[0].keys() if rows else ()
    return {str(name): np.array([_number(row[name]) for row in rows]) for name in columns}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _read_cases(path: Path) -> tuple[tuple[dict[str, str], ...], str | None]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(csv.DictReader(file)), None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return (), f"{path.name} is not readable ({error}), so patients per part are counted from lock.json alone"


def _read_thumbnails(path: Path) -> tuple[Planes, str | None]:
    if not path.is_file():
        return {}, f"{path.name} is missing, so example cases are listed without pictures"
    try:
        pictures = _arrays(path)
    except _NO_ARRAYS as error:
        return {}, f"{path.name} is not readable ({error}), so example cases are listed without pictures"
    return {name: picture for name, picture in pictures.items() if picture.ndim == 2}, None


_NO_ARRAYS = (OSError, ValueError, zipfile.BadZipFile, EOFError)


def _arrays(path: Path) -> Planes:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_planes(path: Path) -> Planes:
    """The arrays of a .npz file by name; none where it is missing or not readable (a page then shows no pictures)."""
    try:
        return _arrays(path)
    except _NO_ARRAYS:
        return {}


def read_slices(folder: Path, job: JobRecord) -> Planes:
    """Of each test case the plane that a job left for pictures; none where the file is missing or not readable."""
    return read_planes(job_folder(folder, job.arm, job.fold, job.seed) / SLICES)


def read_attributions(folder: Path) -> tuple[dict[str, Any], Planes] | None:
    """The checks of a run's attribution maps, and the maps by case; None where there are none.

    Raises LedgerError where either file is damaged. A network that could not be explained has no maps.
    """
    checks = _read_json(folder / ATTRIBUTIONS, "delete it and run the same command")
    if checks is None or "failed" in checks:
        return None if checks is None else (checks, {})
    try:
        return checks, _arrays(folder / ATTRIBUTION_MAPS)
    except _NO_ARRAYS as error:
        raise LedgerError(f"{folder / ATTRIBUTION_MAPS} is not readable ({error})") from error


def _read_ledger(path: Path, lock: dict[str, Any]) -> LedgerState:
    changed = _plan_changed(path / PROTOCOL, lock)
    try:
        ledger = Ledger(path)
    except LedgerError as error:
        return LedgerState(0, False, str(error), changed)
    if not ledger.events:
        return LedgerState(0, False, f"{LEDGER} is missing or empty, so nothing proves when the test set was opened")
    problem = _changed_since(path, ledger)
    opened = openings(ledger.events, lock["endpoints"].get("looks") or ())
    measured = ledger.last(SETTLED)
    settled = None if measured is None else measured.data
    return LedgerState(opened.total, problem is None, problem, changed, opened.unplanned, opened.look, settled)


def _changed_since(path: Path, ledger: Ledger) -> str | None:
    """What in the folder is no longer what the record says it was; None where all of it is."""
    locked, predicted = ledger.last(LOCKED), ledger.last(PREDICTED)
    recorded = {LOCK: locked.data.get("lock_sha256")} if locked else {}
    for key, file in (("sha256", PREDICTIONS), ("candidates_sha256", CANDIDATES)):
        for job, digest in (predicted.data.get(key) or {}).items() if predicted else ():
            recorded[job_file(job, file)] = digest
    for name, digest in recorded.items():
        # a file that is not there is a missing job, not a changed one
        if digest and (path / name).is_file() and hashlib.sha256((path / name).read_bytes()).hexdigest() != digest:
            return f"{name} is not the file that {LEDGER} recorded; restore the original, or run the trial again"
    return None


def _plan_changed(path: Path, lock: dict[str, Any]) -> bool:
    """Whether the protocol is another one; the file as it was locked is the same plan in every later version."""
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() == lock.get("protocol_file_sha256"):
            return False
        return Protocol.load(path).sha256() != str(lock["protocol_sha256"])
    except OSError:
        return True
    except ProtocolError:
        return True
