"""What `equipoise run` shows: a live table on a terminal, bars or plain lines for everything else."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from equipoise.errors import LedgerError
from equipoise.live.state import LiveReader
from equipoise.live.table import LiveTable
from equipoise.live.tracking import Tracking
from equipoise.progress import Display, Watch, draws, silent

EPOCHS = ("training, epochs", "tuning, epochs")
"""Ends of the labels of the stages that have a table; a study puts the trial's name before them."""


class TrialDisplay:
    """A watch for one trial, to be used as a context: within it the table is drawn, and the trackers are fed.

    folder: the run folder. quiet: show nothing. track: where to copy curves to, as `--track` has it.
    Raises EquipoiseError for a tracker that cannot be had, before anything is trained.
    """

    def __init__(
        self, folder: Path, *, quiet: bool = False, track: Sequence[str] = (), stream: TextIO | None = None
    ) -> None:
        self._stream = stream or sys.stderr
        self._plain: Watch = silent if quiet else Display(self._stream)
        # A table that scrolls away into a file helps nobody, so both streams must be the terminal of a person.
        self._table = None if quiet or not (draws(self._stream) and sys.stdout.isatty()) else LiveTable(self._stream)
        self._reader = LiveReader(folder)
        self._tracking = Tracking(folder, track) if track else None

    def __enter__(self) -> Self:
        if self._tracking is not None:
            self._tracking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if self._tracking is not None:
            self._tracking.close()

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show one state of one task, as `progress.Watch`."""
        if self._table is None or label not in EPOCHS or not self._drawn(self._table):
            self._close()
            self._plain(label, done, total)
        elif done >= total:
            self._close()

    def _drawn(self, table: LiveTable) -> bool:
        """Draw the table; False where the folder cannot be read, which is no reason to stop a trial."""
        try:
            table.show(self._reader.read)
        except (LedgerError, OSError):
            return False
        return True

    def _close(self) -> None:
        if self._table is not None:
            self._table.close()
