"""What lies in a run folder, read without trust: a piece that is missing or corrupt is named, never a traceback."""

import csv
import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import LedgerError, PredictionError, ProtocolError
from equipoise.evaluation.candidate_table import FILE
from equipoise.evaluation.predictions import Predictions, read_parquet
from equipoise.protocol import Protocol
from equipoise.runfolder.ledger import LOCKED, PREDICTED, SETTLED, Ledger
from equipoise.runfolder.openings import openings, up_to_look

_LOCK_KEYS = ("protocol_sha256", "question", "name", "cohort", "split", "endpoints", "arms", "seeds", "jobs")
_FOLD_SEED = re.compile(r"\d+-\d+")


@dataclass(frozen=True)
class Job:
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
    jobs: tuple[Job, ...]
    baselines: tuple[Job, ...]
    thumbnails: dict[str, NDArray[np.uint8]]
    ledger: LedgerState
    problems: tuple[str, ...] = ()
    draws: tuple[Job, ...] = ()
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

    def finished(self, arm: str) -> list[Job]:
        """The jobs of one arm, or the baseline of that name, that ended with predictions."""
        return [job for job in (*self.jobs, *self.baselines) if job.arm == arm and job.status == "finished"]


def read_folder(path: Path) -> RunFolder:
    """Read a run folder; raises LedgerError only where there is no readable lock.json to say what was planned."""
    lock = _read_lock(path / "lock.json")
    ledger = _read_ledger(path, lock)
    lock = up_to_look(lock, ledger.look)
    problems: list[str] = []
    jobs = tuple(_read_job(path, plan) for plan in lock["jobs"])
    found = sorted(folder for folder in (path / "baselines").glob("*/*") if _FOLD_SEED.fullmatch(folder.name))
    if not found:
        problems.append("the folder baselines/ is missing or empty, so nothing says what a trivial rule reaches")
    baselines = tuple(_read_baseline(folder) for folder in found)
    problems += [f"baseline {job.arm}: {job.reason}" for job in baselines if job.status != "finished"]
    cases, complaint = _read_cases(path / "cases.csv")
    problems += [complaint] if complaint else []
    thumbnails, complaint = _read_thumbnails(path / "thumbnails.npz")
    problems += [complaint] if complaint else []
    draws = _read_draws(path, lock)
    return RunFolder(path, lock, cases, jobs, baselines, thumbnails, ledger, tuple(problems), draws)


def _read_lock(path: Path) -> dict[str, Any]:
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in _LOCK_KEYS if key not in lock]
    except FileNotFoundError as error:
        raise LedgerError(f"{path.parent} is no run folder: it has no lock.json; name the folder of a run") from error
    except (OSError, ValueError, TypeError) as error:
        raise LedgerError(f"{path} is not readable ({error}); restore it, or run the trial again") from error
    if missing:
        raise LedgerError(f"{path} has no {missing[0]!r}; restore it, or run the trial again")
    return dict(lock)


def _read_job(path: Path, plan: dict[str, Any]) -> Job:
    arm, fold, seed = str(plan["arm"]), int(plan["fold"]), int(plan["seed"])
    folder = path / "jobs" / arm / f"{fold}-{seed}"
    job = _read_training(folder, Job(arm, fold, seed, "finished"))
    if job.status != "finished":
        return job
    predictions, complaint = _read_predictions(folder / "predictions.parquet")
    status = "missing" if predictions is None else "finished"
    return replace(job, status=status, reason=complaint, predictions=predictions)


def _read_draws(path: Path, lock: dict[str, Any]) -> tuple[Job, ...]:
    """Every draw that the plan names, in every fold."""
    arms = (lock.get("tuning") or {}).get("arms", {})
    return tuple(
        _read_training(path / "jobs" / arm / "draws" / f"{fold}-{draw}", Job(arm, fold, draw, "finished", draw=draw))
        for arm, plan in arms.items()
        for fold in range(len(lock["split"]["folds"]))
        for draw in range(len(plan["draws"]))
    )


def _read_training(folder: Path, job: Job) -> Job:
    """What a training left of itself: how it ended, its history and its rates."""
    done, complaint = _read_done(folder / "done.json")
    history, rates = (_read_history(folder / f"{name}.csv") for name in ("history", "rates"))
    if done is None:
        return replace(job, status="missing", reason=complaint, history=history, rates=rates)
    if done.get("status") != "finished":
        reason = str(done.get("reason") or "no reason recorded")
        return replace(job, status="failed", reason=reason, done=done, history=history, rates=rates)
    return replace(job, done=done, history=history, rates=rates)


def _read_baseline(folder: Path) -> Job:
    fold, _, seed = folder.name.partition("-")
    done, _ = _read_done(folder / "done.json")
    predictions, complaint = _read_predictions(folder / "predictions.parquet")
    status = "missing" if predictions is None else "finished"
    name = folder.parent.name
    return Job(name, int(fold), int(seed), status, complaint, done or {}, predictions=predictions)


def _read_done(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))), None
    except FileNotFoundError:
        return None, "done.json is missing: the run did not end; the same command resumes it"
    except (OSError, ValueError, TypeError) as error:
        return None, f"done.json is not readable ({error}); delete it and resume the run"


def _read_predictions(path: Path) -> tuple[Predictions | None, str | None]:
    if not path.is_file():
        return None, "predictions.parquet is missing; the same command makes it again"
    try:
        return read_parquet(path), None
    except PredictionError as error:
        return None, str(error).replace(str(path), path.name)


def _read_history(path: Path) -> dict[str, NDArray[np.float64]]:
    """Columns of numbers; a torn last line (a crash while writing) is left out."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values() and None not in row]
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
        return (), f"cases.csv is not readable ({error}), so patients per part are counted from lock.json alone"


def _read_thumbnails(path: Path) -> tuple[dict[str, NDArray[np.uint8]], str | None]:
    if not path.is_file():
        return {}, "thumbnails.npz is missing, so example cases are listed without pictures"
    try:
        with np.load(path, allow_pickle=False) as archive:
            pictures = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        return {}, f"thumbnails.npz is not readable ({error}), so example cases are listed without pictures"
    return {name: picture for name, picture in pictures.items() if picture.ndim == 2}, None


def _read_ledger(path: Path, lock: dict[str, Any]) -> LedgerState:
    changed = _plan_changed(path / "protocol.toml", lock)
    try:
        ledger = Ledger(path)
    except LedgerError as error:
        return LedgerState(0, False, str(error), changed)
    if not ledger.events:
        return LedgerState(0, False, "ledger.jsonl is missing or empty, so nothing proves when the test set was opened")
    problem = _changed_since(path, ledger)
    opened = openings(ledger.events, lock["endpoints"].get("looks") or ())
    measured = ledger.last(SETTLED)
    settled = None if measured is None else measured.data
    return LedgerState(opened.total, problem is None, problem, changed, opened.unplanned, opened.look, settled)


def _changed_since(path: Path, ledger: Ledger) -> str | None:
    """What in the folder is no longer what the record says it was; None where all of it is."""
    locked, predicted = ledger.last(LOCKED), ledger.last(PREDICTED)
    recorded = {"lock.json": locked.data.get("lock_sha256")} if locked else {}
    for key, file in (("sha256", "predictions.parquet"), ("candidates_sha256", FILE)):
        for job, digest in (predicted.data.get(key) or {}).items() if predicted else ():
            recorded[f"jobs/{job}/{file}"] = digest
    for name, digest in recorded.items():
        # a file that is not there is a missing job, not a changed one
        if digest and (path / name).is_file() and hashlib.sha256((path / name).read_bytes()).hexdigest() != digest:
            return f"{name} is not the file that ledger.jsonl recorded; restore the original, or run the trial again"
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
