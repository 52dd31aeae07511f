"""How far a long task is: a bar with the time left on a terminal, plain lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

from equipoise.sinks import printable

Watch = Callable[[str, int, int], None]
"""Called with a label, the number of steps done, and their total; any number of times."""

PLAIN_EVERY_SECONDS = 15.0
WIDTH = 28


def silent(label: str, done: int, total: int) -> None:
    """A watch that shows nothing."""


def remark(text: str) -> None:
    """Say what went wrong beside the task and changes nothing of it: a warning of the logger "equipoise"."""
    logging.getLogger("equipoise").warning("%s", printable(text))


class Display:
    """A watch that writes to a stream, by default the terminal's standard error."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream or sys.stderr
        self.clock = clock
        self.label = ""
        self.started = self.shown = 0.0
        self.first = 0

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show one state of one task; a new label starts a new line."""
        now = self.clock()
        if label != self.label:
            self.label, self.started, self.shown, self.first = label, now, float("-inf"), done
        line = f"{printable(label)} {done}/{total}{self._left(now, done, total)}"
        if self.stream.isatty():
            filled = WIDTH * done // max(1, total)
            end = "\n" if done >= total else ""
            self.stream.write(f"\r\x1b[K{'█' * filled}{'░' * (WIDTH - filled)} {line}{end}")
        elif done >= total or now - self.shown >= PLAIN_EVERY_SECONDS:
            self.shown = now
            self.stream.write(line + "\n")
        self.stream.flush()

    def _left(self, now: float, done: int, total: int) -> str:
        elapsed, steps = now - self.started, done - self.first
        if done >= total:
            return f", took {_minutes(elapsed)}"
        return f", about {_minutes(elapsed / steps * (total - done))} left" if steps > 0 else ""


def _minutes(seconds: float) -> str:
    """Minutes and seconds as people write them.

    >>> _minutes(75), _minutes(3.2), _minutes(7260)
    ('1 min 15 s', '3 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
