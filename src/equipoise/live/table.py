"""The table of a trial on a terminal: arm × seed × epoch, drawn again as epochs end."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from equipoise.live import words
from equipoise.live.state import FAILED, FINISHED, RUNNING, TrialState

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

_STYLES = {RUNNING: "", FINISHED: "dim", FAILED: "bold red"}
_LINES_BESIDE = 6
"""Lines of a screen that are not rows of jobs: heading, heads and rules of the table, the note, the prompt."""


def table(state: TrialState, height: int = 40) -> "Group":
    """Return the heading and the table, with as many jobs as a screen of this height has room for."""
    # Rich is imported here: commands that show no table need not load it.
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    jobs, note = words.shown(state, max(3, height - _LINES_BESIDE))
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(words.heads(state)):
        drawn.add_column(Text(head), justify="left" if number < 2 else "right", no_wrap=number != 0)
    for job in jobs:
        # As texts: a name from a protocol may hold what Rich would read as markup.
        drawn.add_row(*map(Text, words.row(state, job)), style=_STYLES.get(job.status, "dim"))
    return Group(Text(words.heading(state), style="bold"), drawn, *([Text(note, style="dim")] if note else []))


class LiveTable:
    """A table at the bottom of a terminal; what is written to stderr meanwhile appears above it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream)
        self._live: Live | None = None

    def show(self, read: Callable[[], TrialState]) -> None:
        """Draw the state that `read` returns."""
        from rich.live import Live

        content = table(read(), self._console.size.height)
        if self._live is None:
            self._live = Live(content, console=self._console, auto_refresh=False, redirect_stdout=False)
            self._live.start(refresh=True)
            return
        self._live.update(content, refresh=True)

    def close(self) -> None:
        """Leave the last table on the screen, and give the cursor back."""
        if self._live is not None:
            self._live.stop()
            self._live = None
