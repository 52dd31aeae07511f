"""Copy curves to TensorBoard or MLflow while a trial trains; optional, and never a reason for a trial to fail.

What is copied: arm, fold, seed, settings of the arm, and per epoch losses, the validation endpoint and the rate. Never
a case, a patient, a reason of a failure (which may name a case) or a test result.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from equipoise.errors import EquipoiseError, LedgerError
from equipoise.live.state import JobState, LiveReader, TrialState
from equipoise.live.trackers import mlflow_tracker, tensorboard_tracker
from equipoise.lookup import nearest
from equipoise.progress import remark

LOOK_SECONDS = 3.0
CLOSE_SECONDS = 20.0
"""For which a trial that has ended waits for its trackers; a server that does not answer must not keep it longer."""
COPIED = ("train_loss", "validation_loss", "learning_rate", "gradient_norm")


class Tracker(Protocol):
    """One place to which curves are copied."""

    def epochs(self, job: JobState, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Copy new epochs of a job: (epoch, values by name)."""

    def end(self, job: JobState) -> None:
        """Note that a job has ended, and how: finished or failed."""

    def close(self) -> None:
        """Write what is still in memory."""


KINDS: dict[str, Callable[[Path, str | None], Tracker]] = {
    "tensorboard": tensorboard_tracker,
    "mlflow": mlflow_tracker,
}


def trackers(folder: Path, track: Sequence[str]) -> dict[str, Tracker]:
    """Return the trackers of `--track KIND[=PLACE]`, by kind.

    Raises EquipoiseError for an unknown kind, or one whose package is missing.
    """
    made: dict[str, Tracker] = {}
    for text in track:
        kind, _, place = text.partition("=")
        if kind not in KINDS:
            raise EquipoiseError(f"--track {text!r} is not a known tracker; {nearest(kind, KINDS)}, or KIND=PLACE")
        made[kind] = KINDS[kind](folder, place or None)
    return made


class Tracking:
    """Copies what is new at every look; a tracker that fails is left out from then on, with one remark."""

    def __init__(self, folder: Path, track: Sequence[str]) -> None:
        self._reader = LiveReader(folder)
        self._trackers = trackers(folder, track)
        self._copied: dict[tuple[str, str], int] = {}
        self._ended: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look every few seconds in a thread of its own: a slow server must not slow the trial."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Copy what is new now."""
        try:
            state = self._reader.read()
        except (LedgerError, OSError):
            return  # not locked yet, or being made: the next look finds it
        for kind, tracker in list(self._trackers.items()):
            self._guarded(kind, lambda kind=kind, tracker=tracker: self._copy(kind, tracker, state))  # type: ignore[misc]

    def close(self) -> None:
        """Copy the last epochs and close every tracker, within a bounded time."""
        self._stop.set()
        if self._thread is None:
            self._finish()
            return
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            remark(
                f"{', '.join(self._trackers)} did not accept the last curves within {CLOSE_SECONDS:.0f} s; they were "
                "not sent"
            )

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self.look()
        self._finish()

    def _finish(self) -> None:
        self.look()
        for kind, tracker in list(self._trackers.items()):
            self._guarded(kind, tracker.close)

    def _guarded(self, kind: str, act: Callable[[], None]) -> None:
        # Of any kind: these are other people's packages and servers, and the trial owes them nothing.
        try:
            act()
        except Exception as error:
            self._trackers.pop(kind, None)
            text = " ".join(str(error).split())[:200]
            remark(f"{kind} accepts no more curves ({type(error).__name__}: {text}); the trial continues without it")

    def _copy(self, kind: str, tracker: Tracker, state: TrialState) -> None:
        for job in state.jobs:
            key = (kind, str(state.folder / job.name))
            since = self._copied.get(key, 0)
            if job.epoch > since:
                tracker.epochs(job, _rows(state, job, since))
                self._copied[key] = job.epoch
            if job.has_ended and key not in self._ended:
                tracker.end(job)
                self._ended.add(key)


def _rows(state: TrialState, job: JobState, since: int) -> list[tuple[int, dict[str, float]]]:
    columns: dict[str, Any] = {name: job.history[name] for name in (*COPIED, state.column) if name in job.history}
    return [
        (epoch + 1, {name: float(values[epoch]) for name, values in columns.items()})
        for epoch in range(since, job.epoch)
    ]
