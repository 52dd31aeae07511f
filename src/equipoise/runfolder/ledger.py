"""The append-only ledger of a run: every line holds the hash of the previous line, so an edit is detected."""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from equipoise.atomic_write import sync
from equipoise.errors import LedgerError
from equipoise.runfolder.paths import LEDGER

LOCKED = "locked"
STARTED = "started"
FINISHED = "finished"
FAILED = "failed"
SETTLED = "settled"
TUNED = "tuned"
TEST_OPENED = "test opened"
PREDICTED = "predicted"
LOOKED = "looked"


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
    # Canonical JSON: the hash must not depend on the order of keys or on white space, or old ledgers would break.
    content = json.dumps([number, time, kind, data, previous], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


class Ledger:
    """The ledger of one run folder; `Ledger(folder)` reads and verifies the existing events."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self.events = _read(self.path)

    def append(self, kind: str, **data: Any) -> Event:
        """Append one event; it is on the disk when this returns."""
        number, time = len(self.events), datetime.now(UTC).isoformat(timespec="milliseconds")
        previous = self.events[-1].hash if self.events else ""
        event = Event(number, time, kind, data, previous, _hash(number, time, kind, data, previous))
        new = not self.path.is_file()
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(vars(event), sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A new file's name lives in its folder: without this sync a power cut could lose the file although its data are
        # safe.
        if new:
            sync(self.path.parent)
        self.events.append(event)
        return event

    def count(self, kind: str) -> int:
        """Return the number of events of one kind."""
        return sum(event.kind == kind for event in self.events)

    def last(self, kind: str) -> Event | None:
        """Return the newest event of one kind; None where there is none."""
        return next((event for event in reversed(self.events) if event.kind == kind), None)


def _read(path: Path) -> list[Event]:
    """Read a ledger file and verify its chain; an incomplete last line (a crash while writing) is cut off."""
    if not path.is_file():
        return []
    content = path.read_bytes()
    whole, newline, torn = content.rpartition(b"\n")
    # Cut off in the file as well: the next event would otherwise be appended to the torn line and break the chain.
    if torn:
        with path.open("r+b") as file:
            file.truncate(len(whole) + len(newline))
    events: list[Event] = []
    for number, line in enumerate(_text(path, whole).splitlines()):
        event = _parse(path, number, line)
        previous = events[-1].hash if events else ""
        honest = _hash(event.number, event.time, event.kind, event.data, event.previous)
        if event.number != number or event.previous != previous or event.hash != honest:
            raise LedgerError(
                f"{path} was changed at line {number + 1}: its hash does not follow from the lines before; "
                "restore the original file, or run the trial again into a new folder"
            )
        events.append(event)
    return events


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LedgerError(f"{path} is no text ({error}); restore the original file") from error


def _parse(path: Path, number: int, line: str) -> Event:
    try:
        return Event(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise LedgerError(
            f"{path} line {number + 1} is no ledger event ({error}); restore the original file"
        ) from error
