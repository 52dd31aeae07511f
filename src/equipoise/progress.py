"""How far a long task is: a bar with the time left on a terminal, plain lines elsewhere."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from equipoise.sinks import printable

Watch = Callable[[str, int, int], None]
"""Called with a label, the number of steps done, and their total; any number of times."""

PLAIN_EVERY_SECONDS = 15.0
WIDTH = 28


def silent(label: str, done: int, total: int) -> None:
    """A watch that shows nothing."""


@contextmanager
def under_way(watch: Watch, label: str) -> Iterator[None]:
    """Show that a stage has begun, and when it ends how long it took; for work whose steps cannot be counted."""
    watch(label, 0, 1)
    yield
    watch(label, 1, 1)


def remark(text: str) -> None:
    """Say what went wrong beside the task and changes nothing of it: a warning of the logger "equipoise"."""
    logging.getLogger("equipoise").warning("%s", printable(text))


class Stream(Protocol):
    """What a display needs of a stream."""

    def isatty(self) -> bool:
        """Return whether it is a terminal."""

    def write(self, text: str, /) -> int:
        """Write text."""

    def flush(self) -> None:
        """Write what is held back."""


def draws(stream: Stream) -> bool:
    """Return whether a stream is a terminal on which a line can be drawn again: one that is not "dumb"."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


class Display:
    """A watch that writes to a stream, by default standard error.

    every: seconds between two lines where no line can be drawn again.
    """

    def __init__(
        self,
        stream: Stream | None = None,
        clock: Callable[[], float] = time.monotonic,
        every: float = PLAIN_EVERY_SECONDS,
    ) -> None:
        self.stream: Stream = stream or sys.stderr
        self.every = every
        self.clock = clock
        self.label = ""
        self.started = self.shown = 0.0
        self.first = 0

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show one state of one task; a new label starts a new line."""
        now = self.clock()
        if label != self.label:
            self.label, self.started, self.shown, self.first = label, now, float("-inf"), done
        # A stage of one step is under way or done; "0/1" would say no more.
        counted = f" {done}/{total}" if total > 1 else "" if done else " …"
        line = f"{printable(label)}{counted}{self._left(now, done, total)}"
        if draws(self.stream):
            filled = WIDTH * done // max(1, total)
            end = "\n" if done >= total else ""
            self.stream.write(f"\r\x1b[K{'█' * filled}{'░' * (WIDTH - filled)} {line}{end}")
        elif total == 1 and done and now - self.started < 1:
            pass  # a stage that took no time needs no second line
        elif done >= total or now - self.shown >= self.every:
            self.shown = now
            self.stream.write(line + "\n")
        self.stream.flush()

    def _left(self, now: float, done: int, total: int) -> str:
        elapsed, steps = now - self.started, done - self.first
        if done >= total:
            return f", took {minutes(elapsed)}"
        return f", about {minutes(elapsed / steps * (total - done))} left" if steps > 0 else ""


def minutes(seconds: float) -> str:
    """Minutes and seconds as people write them.

    >>> minutes(75), minutes(3.2), minutes(7260)
    ('1 min 15 s', '3 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
