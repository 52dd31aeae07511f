"""Progress in a notebook: one output that is drawn again; nothing where Python runs elsewhere."""

import sys
from html import escape
from pathlib import Path
from typing import Any

from equipoise.errors import LedgerError
from equipoise.live import words
from equipoise.live.display import EPOCHS
from equipoise.live.state import LiveReader
from equipoise.progress import Display, Watch, silent


def watch_here(folder: Path | None = None) -> Watch:
    """Return what shows progress where this process runs: an output of a notebook, else nothing.

    folder: the run folder, for the table of its jobs.
    """
    # Read from what is loaded and not imported: Python outside of a notebook has no IPython, and needs none.
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None
    if shell is None or type(shell).__name__ != "ZMQInteractiveShell":
        return silent
    return NotebookDisplay(sys.modules["IPython.display"], folder)


class NotebookDisplay:
    """A watch that draws one output of a notebook again and again.

    display: the module IPython.display.
    """

    def __init__(self, display: Any, folder: Path | None = None) -> None:
        self._display, self._handle = display, None
        self._reader = None if folder is None else LiveReader(folder)
        self._line = _Line()
        self._plain = Display(self._line, every=0.0)

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show one state of one task, as `progress.Watch`."""
        self._plain(label, done, total)
        content = self._display.HTML(self._table(label) or f"<pre>{escape(self._line.text)}</pre>")
        if self._handle is None:
            self._handle = self._display.display(content, display_id=True)
        else:
            self._handle.update(content)

    def _table(self, label: str) -> str:
        if self._reader is None or label not in EPOCHS:
            return ""
        try:
            state = self._reader.read()
        except (LedgerError, OSError):
            return ""
        heads = "".join(f"<th>{escape(head)}</th>" for head in words.heads(state))
        jobs, note = words.shown(state, 40)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in words.row(state, job)) + "</tr>" for job in jobs
        )
        return f"<p>{escape(words.heading(state))}</p><table><tr>{heads}</tr>{rows}</table><p>{escape(note)}</p>"


class _Line:
    """A stream that keeps the last line."""

    text = ""

    def isatty(self) -> bool:
        """It is no terminal."""
        return False

    def write(self, text: str) -> int:
        """Keep the line."""
        self.text = text.strip()
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""
