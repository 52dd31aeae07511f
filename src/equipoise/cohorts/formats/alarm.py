"""A clock that calls a function unless it is cancelled in time: one thread for any number of calls."""

import threading
import time
from collections.abc import Callable


class Alarm:
    """One waiting call at a time. A `threading.Timer` starts a thread for each, a third of the time of a small file."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: float | None = None
        self._call: Callable[[], None] = _nothing
        self._thread: threading.Thread | None = None

    def set_in(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call`, in a thread of its own, after so many seconds, unless it is cancelled or set anew before."""
        with self._changed:
            self._due, self._call = time.monotonic() + seconds, call
            if self._thread is None or not self._thread.is_alive():  # it does not live on in a forked process
                self._thread = threading.Thread(target=self._wait, daemon=True)
                self._thread.start()
                return
            # Not woken where it waits for an earlier moment: it then looks again. Waking it each time would cost what
            # a thread costs.
            if self._sleeps_until > self._due:
                self._changed.notify()

    def cancel(self) -> None:
        """Call nothing; after this no call begins any more."""
        with self._changed:
            self._due = None

    def _wait(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                if self._due is not None and now >= self._due:
                    self._due = None
                    self._call()
                self._sleeps_until = self._due if self._due is not None else now + _IDLE_SECONDS
                self._changed.wait(self._sleeps_until - now)

    _sleeps_until = 0.0


_IDLE_SECONDS = 60.0


def _nothing() -> None:
    """Nothing is to be called yet."""
