"""`equipoise watch`: follow a trial from another shell, or another machine, by reading its run folder."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from equipoise.atomic_write import write_text
from equipoise.errors import EquipoiseError, Interrupted
from equipoise.live import words
from equipoise.live.state import LiveReader, TrialState
from equipoise.live.table import LiveTable, table
from equipoise.live.tracking import Tracking
from equipoise.progress import PLAIN_EVERY_SECONDS, draws

EVERY_SECONDS = 2.0


def watch(
    folder: Path,
    *,
    once: bool = False,
    page: Path | None = None,
    every: float = EVERY_SECONDS,
    quiet: bool = False,
    track: Sequence[str] = (),
    stream: TextIO | None = None,
    wait: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> TrialState:
    """Show a trial until it ends or nothing works on it any more; return its last state.

    once: show the state now and return. page: a file that is written again at every look. every: seconds between two
    looks. Nothing in the run folder is written. Raises LedgerError where the folder holds no plan.
    """
    if every <= 0:
        raise EquipoiseError(f"--every {every:g} is not possible; give the seconds between two updates, such as 2")
    reader, show = LiveReader(folder), _Shown(stream or sys.stderr, quiet, clock)
    tracking = Tracking(folder, track) if track else None
    try:
        while True:
            state = reader.read()
            last = once or state.is_over
            show(state, last)
            if page is not None:
                _write(page, state, None if last else every)
            if tracking is not None:
                tracking.look()
            if last:
                return state
            wait(every)
    except KeyboardInterrupt as error:
        raise Interrupted("stopped watching; this does not affect the trial") from error
    finally:
        show.close()
        if tracking is not None:
            tracking.close()


class _Shown:
    """Draws states on a terminal, or writes a line where something changed, at most every few seconds."""

    def __init__(self, stream: TextIO, quiet: bool, clock: Callable[[], float]) -> None:
        self._stream, self._quiet, self._clock = stream, quiet, clock
        self._table = LiveTable(stream) if draws(stream) and not quiet else None
        self._line, self._at = "", float("-inf")

    def __call__(self, state: TrialState, last: bool) -> None:
        if self._quiet:
            return
        if self._table is not None:
            self._table.show(lambda: state)
            return
        if last:
            self._whole(state)
            return
        line, now = words.line(state), self._clock()
        if line != self._line and now - self._at >= PLAIN_EVERY_SECONDS:
            self._line, self._at = line, now
            self._stream.write(line + "\n")
            self._stream.flush()

    def _whole(self, state: TrialState) -> None:
        from rich.console import Console

        console = Console(file=self._stream, width=100, color_system=None)
        console.print(table(state, height=10_000))

    def close(self) -> None:
        """Give the cursor back."""
        if self._table is not None:
            self._table.close()


def _write(page: Path, state: TrialState, every: float | None) -> None:
    from equipoise.live.page import live_page  # here: figures take most of a second to load

    try:
        write_text(page, live_page(state, every))
    except OSError as error:
        raise EquipoiseError(f"{page} cannot be written ({error}); name another file with --page") from error
