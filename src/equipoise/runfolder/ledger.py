"""The append-only ledger of a run: every line holds the hash of the previous line, so an edit is detected."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from equipoise.atomic_write import sync
from equipoise.errors import LedgerError
from equipoise.plain_files import appending, bytes_of, opened
from equipoise.runfolder.paths import LEDGER

LOCKED = "locked"
STARTED = "started"
RESTARTED = "restarted"
FINISHED = "finished"
FAILED = "failed"
SETTLED = "settled"
TUNED = "tuned"
TEST_OPENED = "test opened"
JOB_PREDICTED = "job predicted"
REMOVED = "predictions removed"
PREDICTED = "predicted"
LOOKED = "looked"
EXPLAINED = "explained"
CHANGED = "changed_jobs"
"""The key of the event "predicted" with the jobs that gave other predictions before, in an interrupted opening."""
VALIDATED = "history"
"""The key of the events "finished" and "failed" with the digest of all validated epochs of the job."""
OTHERWISE = "otherwise"
"""The key of these events with what the job gave otherwise when it was trained before."""
KINDS = (
    LOCKED, STARTED, RESTARTED, FINISHED, FAILED, SETTLED, TUNED, TEST_OPENED, JOB_PREDICTED, REMOVED, PREDICTED,
    LOOKED, EXPLAINED,
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One line: its number, UTC time, kind, data, the previous line's hash, and its own hash."""

    number: int
    time: str
    kind: str
    data: dict[str, Any]
    previous: str
    hash: str


def _hash(number: int, time: str, kind: str, data: dict[str, Any], previous: str) -> str:
    """Return the hash of an event, which contains the hash of the event before it."""
    # Canonical JSON: the hash must not depend on the order of keys or on white space, or old ledgers would break.
    content = json.dumps([number, time, kind, data, previous], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


class Ledger:
    """The ledger of one run folder; `Ledger(folder)` reads and verifies the existing events, and changes nothing."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self.events, self._length = _read(self.path)
        # Replaced where the claim of the folder can be lost: raises Superseded where it was.
        self.held: Callable[[], None] = lambda: None

    @property
    def head(self) -> str:
        """The hash of the last event, on which all events before it depend; empty without events."""
        return self.events[-1].hash if self.events else ""

    def append(self, kind: str, **data: Any) -> Event:
        """Append one event; it is on the disk when this returns. Only for the process that has claimed the folder.

        Raises LedgerError where another process has appended events since this one read the file, and Superseded where
        it has taken the folder over.
        """
        self.held()
        self._cut_torn_line()
        number, time = len(self.events), datetime.now(UTC).isoformat(timespec="milliseconds")
        previous = self.head
        event = Event(number, time, kind, data, previous, _hash(number, time, kind, data, previous))
        new = not self.path.is_file()
        line = (json.dumps(vars(event), sort_keys=True) + "\n").encode()
        with appending(self.path) as file:
            file.write(line)
            file.flush()
            # Callers act on the event only afterwards: an opening of the test set that a power cut erased could be
            # repeated unnoticed.
            os.fsync(file.fileno())
        # A new file's name lives in its folder: without this sync a power cut could lose the file although its data are
        # safe.
        if new:
            sync(self.path.parent)
        self.events.append(event)
        self._length += len(line)
        return event

    def _cut_torn_line(self) -> None:
        """Remove an incomplete last line (a crash while writing), to which the next event would be appended."""
        # Here and not while reading: a reader that cut the file beside a writer would destroy an event that is being
        # written.
        size = self.path.stat().st_size if self.path.is_file() else 0
        if size == self._length:
            return
        with appending(self.path, "r+b") as file:
            file.seek(self._length)
            if size < self._length or b"\n" in file.read():
                raise LedgerError(f"{self.path} was changed by another process meanwhile; run the same command again")
            file.truncate(self._length)

    def count(self, kind: str) -> int:
        """Return the number of events of one kind."""
        return sum(event.kind == kind for event in self.events)

    def last(self, kind: str) -> Event | None:
        """Return the newest event of one kind; None where there is none."""
        return next((event for event in reversed(self.events) if event.kind == kind), None)


def first_event(folder: Path) -> Event | None:
    """Return the first event of a run folder's ledger, by which its run is known; None where there is no whole line.

    The rest is not read: every job asks, and a ledger has some events of every job. Raises LedgerError where the line
    was changed.
    """
    path = folder / LEDGER
    if not path.is_file():
        return None
    try:
        with opened(path) as file:
            line = file.readline()
    except OSError as error:
        raise LedgerError(f"{path} is not readable ({error}); restore the original file") from error
    return _chained(path, [_text(path, line[:-1])])[0] if line.endswith(b"\n") else None


def _read(path: Path) -> tuple[list[Event], int]:
    """Read and verify the events; return them with the bytes of their lines. An incomplete last line is left out."""
    if not path.is_file():
        return [], 0
    try:
        content = bytes_of(path)
    except OSError as error:
        raise LedgerError(f"{path} is not readable ({error}); restore the original file") from error
    whole, newline, _ = content.rpartition(b"\n")
    # At line feeds alone: `splitlines` also divides at characters that a text within an event may hold.
    return _chained(path, _text(path, whole).split("\n") if newline else ()), len(whole) + len(newline)


def _chained(path: Path, lines: Sequence[str]) -> list[Event]:
    """Return the events of the first lines; raises LedgerError where one does not follow from those before."""
    events: list[Event] = []
    for number, line in enumerate(lines):
        event = _parse(path, number, line)
        previous = events[-1].hash if events else ""
        honest = _hash(event.number, event.time, event.kind, event.data, event.previous)
        if event.number != number or event.previous != previous or event.hash != honest:
            raise LedgerError(
                f"{path} was changed at line {number + 1}: its hash does not follow from the lines before; restore "
                "the original file, or run the trial again in a new folder"
            )
        events.append(event)
    return events


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LedgerError(f"{path} is not text ({error}); restore the original file") from error


def _of_single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object; of a key that stands twice readers see one value, and a forger could show another one."""
    single = dict(pairs)
    if len(single) < len(pairs):
        raise ValueError("a key stands twice")
    return single


def _parse(path: Path, number: int, line: str) -> Event:
    try:
        event = Event(**json.loads(line, object_pairs_hook=_of_single_keys))
    except (ValueError, TypeError, RecursionError) as error:
        raise LedgerError(
            f"{path} line {number + 1} is not a ledger event ({error}); restore the original file"
        ) from error
    texts = (event.time, event.kind, event.previous, event.hash)
    if type(event.number) is not int or not isinstance(event.data, dict) or not all(type(one) is str for one in texts):
        raise LedgerError(f"{path} line {number + 1} is not a ledger event: a value has another type; restore the file")
    return event
