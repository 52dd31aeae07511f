"""Where a trial stands: the phase, and each job's epochs, losses and time left, read from the run folder alone.

The folder may be written meanwhile: its files appear whole, by a rename, and a ledger's last line that is still being
written is left out by its reader.
"""

import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import LedgerError
from equipoise.live.holder import is_held
from equipoise.plain_files import text_of
from equipoise.protocol.training_section import TrainingSection
from equipoise.runfolder.ledger import LOCKED, LOOKED, PREDICTED, TEST_OPENED, TUNED, Event, Ledger
from equipoise.runfolder.paths import (
    BY_CASE,
    HISTORY,
    LEDGER,
    PROTOCOL,
    RESULTS,
    draw_folder,
    draw_name,
    job_folder,
    job_name,
)
from equipoise.runfolder.read import read_done, read_history, read_lock
from equipoise.runfolder.writer import written_by

TUNING, TRAINING, PREDICTING, JUDGING, ENDED, STOPPED = (
    "tuning",
    "training",
    "predicting the test cases",
    "judging",
    "ended",
    "stopped",
)
"""Phases of a trial. Stopped: no process works on it, and it has not ended."""
WAITING, RUNNING, FINISHED, FAILED = "waiting", "running", "finished", "failed"
"""States of a job; an interrupted one waits, with the epochs it has."""
_EPOCHS: int = TrainingSection.model_fields["epochs"].default


@dataclass(frozen=True)
class JobState:
    """One training run, or one draw of tuning (`draw`), with the columns of its history by name, each (epochs,).

    epochs: of its budget; a job that stopped early has fewer. chosen: the epoch that was kept, once it has ended.
    """

    name: str
    arm: str
    fold: int
    seed: int
    status: str
    epochs: int
    history: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    draw: int | None = None
    chosen: int | None = None

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return len(self.history.get("epoch", ()))

    @property
    def has_ended(self) -> bool:
        """Whether it finished or failed."""
        return self.status in (FINISHED, FAILED)

    def last(self, column: str) -> float | None:
        """Return the newest value of a column of the history; None without one, or where it is not finite."""
        values = self.history.get(column)
        return float(values[-1]) if values is not None and len(values) and math.isfinite(values[-1]) else None

    def seconds_per_epoch(self) -> float | None:
        """Return the mean duration of its epochs; None before the first has ended."""
        seconds = self.last("seconds")
        return None if seconds is None else seconds / self.epoch


@dataclass(frozen=True)
class TrialState:
    """Where a trial stood at one moment.

    folder: that is trained now; the folder of the contrast while that runs. primary: the primary endpoint.
    seconds_left: of the training, from the mean epoch of each arm; None before any epoch has ended.
    """

    folder: Path
    name: str
    question: str
    primary: str
    phase: str
    jobs: tuple[JobState, ...]
    seconds_left: float | None
    opened: bool
    seen_at: datetime

    @property
    def is_over(self) -> bool:
        """Whether nothing changes any more: it has ended, or was stopped."""
        return self.phase in (ENDED, STOPPED)

    @property
    def column(self) -> str:
        """The history's column of the primary endpoint on validation patients."""
        return f"validation_{self.primary}"

    def counts(self) -> dict[str, int]:
        """Count the jobs in each state."""
        return dict(Counter(job.status for job in self.jobs))

    def epochs(self) -> tuple[int, int]:
        """Return the epochs behind and of all jobs; a job that has ended counts as a whole."""
        behind = sum(job.epochs if job.has_ended else job.epoch for job in self.jobs)
        return behind, sum(job.epochs for job in self.jobs)

    def seconds_of(self, job: JobState) -> float | None:
        """Return how long a job that has not ended still needs; None where no epoch says."""
        return None if job.has_ended else _left(job, self.jobs)

    def as_json(self) -> dict[str, Any]:
        """Return the state as public JSON; losses are those of the newest epoch."""
        done, total = self.epochs()
        return {
            "name": self.name, "question": self.question, "phase": self.phase, "ended": self.phase == ENDED,
            "epochs": done, "epochs_in_all": total, "seconds_left": self.seconds_left,
            "test_set_opened": self.opened, "endpoint": self.primary,
            "jobs": [self._job_json(job) for job in self.jobs],
        }  # fmt: skip

    def _job_json(self, job: JobState) -> dict[str, Any]:
        return {
            "job": job.name, "arm": job.arm, "fold": job.fold, "seed": job.seed, "draw": job.draw, "status": job.status,
            "epoch": job.epoch, "epochs": job.epochs, "train_loss": job.last("train_loss"),
            "validation_loss": job.last("validation_loss"), "validation_endpoint": job.last(self.column),
            "seconds_left": self.seconds_of(job),
        }  # fmt: skip


class LiveReader:
    """Reads the state of one run folder again and again; a job that has ended is read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ended: dict[Path, JobState] = {}

    def read(self) -> TrialState:
        """Return where the trial stands now; raises LedgerError where the folder holds no plan."""
        main = self._state(self.folder)
        contrast = self.folder / BY_CASE
        if main.phase in (ENDED, JUDGING, STOPPED) and _has_contrast(_settings(self.folder)):
            if not (contrast / LEDGER).is_file():
                return main
            second = self._state(contrast)
            return second if second.phase != ENDED else main
        return main

    def _state(self, folder: Path) -> TrialState:
        lock, settings = read_lock(folder), _settings(folder)
        events = _events(folder)
        held = is_held(folder)
        plans = list(_plans(folder, lock, settings))
        jobs = tuple(self._job(place, plan) for place, plan in plans)
        phase = _phase(folder, lock, events, held)
        if phase == STOPPED:
            jobs = tuple(job if job.has_ended else _with(job, WAITING) for job in jobs)
        shown = tuple(job for job in jobs if (job.draw is not None) == (phase == TUNING)) or jobs
        return TrialState(
            folder, str(lock["name"]), str(lock["question"]), str(lock["endpoints"]["primary"]), phase, shown,
            _all_left(shown), any(event.kind == TEST_OPENED for event in events), datetime.now(UTC),
        )  # fmt: skip

    def _job(self, folder: Path, plan: JobState) -> JobState:
        if folder in self._ended:
            return self._ended[folder]
        try:
            done = read_done(folder)
        except LedgerError:
            done = None  # the report names a damaged file; here the job counts as not ended
        history = read_history(folder / HISTORY)
        if done is None:
            return _with(plan, RUNNING if written_by(folder) else WAITING, history)
        job = _with(plan, FINISHED if done.get("status") == FINISHED else FAILED, history, done.get("chosen_epoch"))
        self._ended[folder] = job
        return job


def _with(
    plan: JobState, status: str, history: Mapping[str, NDArray[np.float64]] | None = None, chosen: Any = None
) -> JobState:
    return JobState(
        plan.name, plan.arm, plan.fold, plan.seed, status, plan.epochs, plan.history if history is None else history,
        plan.draw, chosen if type(chosen) is int else plan.chosen,
    )  # fmt: skip


def _settings(folder: Path) -> dict[str, Any]:
    """Return the tables of the protocol's copy; empty where it is missing or damaged: the report says so."""
    # Only numbers are taken from it, so nothing that the protocol names is imported.
    try:
        return tomllib.loads(text_of(folder / PROTOCOL))
    except (OSError, ValueError, RecursionError):
        return {}


def _number(settings: Mapping[str, Any], table: str, key: str, default: int) -> int:
    value = settings.get(table)
    number = value.get(key, default) if isinstance(value, Mapping) else default
    return number if type(number) is int and number > 0 else default


def _events(folder: Path) -> Sequence[Event]:
    try:
        return Ledger(folder).events
    except LedgerError:
        return ()


def _has_contrast(settings: Mapping[str, Any]) -> bool:
    split = settings.get("split")
    return isinstance(split, Mapping) and split.get("contrast") == "case"


def _plans(folder: Path, lock: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[Path, JobState]]:
    """Yield the folder and the plan of every draw and every job, in the order in which they are trained."""
    epochs = _number(settings, "training", "epochs", _EPOCHS)
    for_draw = _number(settings, "tuning", "epochs", epochs)
    for arm, plan in ((lock.get("tuning") or {}).get("arms") or {}).items():
        for fold in range(len(lock["split"]["folds"])):
            for draw in range(len(plan["draws"])):
                name = draw_name(arm, fold, draw)
                yield (
                    draw_folder(folder, arm, fold, draw),
                    JobState(name, arm, fold, draw, WAITING, for_draw, draw=draw),
                )
    for job in lock["jobs"]:
        arm, fold, seed = str(job["arm"]), int(job["fold"]), int(job["seed"])
        yield job_folder(folder, arm, fold, seed), JobState(job_name(arm, fold, seed), arm, fold, seed, WAITING, epochs)


def _phase(folder: Path, lock: Mapping[str, Any], events: Sequence[Event], held: bool | None) -> str:
    kinds = [event.kind for event in events]
    predicted = next((event for event in reversed(events) if event.kind == PREDICTED), None)
    opened = next((event for event in reversed(events) if event.kind == TEST_OPENED), None)
    if predicted is not None and _is_last(lock, events) and _is_reported(folder, predicted) and held is not True:
        return ENDED
    if held is False:
        return STOPPED
    if opened is not None and (predicted is None or predicted.number < opened.number):
        return PREDICTING
    if predicted is not None and (_is_last(lock, events) or not _is_reported(folder, predicted)):
        return JUDGING
    return TUNING if lock.get("tuning") and TUNED not in kinds and LOCKED in kinds else TRAINING


def _is_last(lock: Mapping[str, Any], events: Sequence[Event]) -> bool:
    """Return whether no planned look follows the last opening of the test set."""
    looks = lock["endpoints"].get("looks") or ()
    opened = next((event for event in reversed(events) if event.kind == TEST_OPENED), None)
    if not looks or (opened is not None and opened.data.get("look") == looks[-1]):
        return True
    looked = next((event for event in reversed(events) if event.kind == LOOKED), None)
    return looked is not None and not looked.data.get("undecided")


def _is_reported(folder: Path, predicted: Event) -> bool:
    """Return whether results were written after the test cases had been predicted."""
    try:
        written = (folder / RESULTS).stat().st_mtime
        return written >= datetime.fromisoformat(predicted.time).timestamp() - 1
    except (OSError, ValueError):
        return False


def _left(job: JobState, jobs: Sequence[JobState]) -> float | None:
    """Return the seconds that a job's remaining epochs take, at its own pace, else its arm's, else that of all."""
    own = job.seconds_per_epoch()
    if own is None:
        alike = [one for one in jobs if one.arm == job.arm] or list(jobs)
        paces = [pace for one in alike if (pace := one.seconds_per_epoch()) is not None]
        paces = paces or [pace for one in jobs if (pace := one.seconds_per_epoch()) is not None]
        if not paces:
            return None
        own = sum(paces) / len(paces)
    return own * max(0, job.epochs - job.epoch)


def _all_left(jobs: Sequence[JobState]) -> float | None:
    """Return the seconds until all jobs have ended, with as many side by side as now."""
    waiting = [_left(job, jobs) for job in jobs if not job.has_ended]
    if any(left is None for left in waiting):
        return None
    side_by_side = max(1, sum(job.status == RUNNING for job in jobs))
    return sum(left for left in waiting if left is not None) / side_by_side
