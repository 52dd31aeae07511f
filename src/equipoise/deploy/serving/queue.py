"""One thread that answers, one job after the other, and how many may wait for it."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from equipoise.deploy.serving.boundaries import Boundaries, Refused

AGAIN_SECONDS = 5


class Places:
    """Counts requests that are taken in, wait or are answered, and the bytes of their bodies; used by one loop."""

    def __init__(self, boundaries: Boundaries) -> None:
        self._boundaries = boundaries
        self.taken = 0
        self.held = 0

    @contextmanager
    def place(self, size: int) -> Iterator[None]:
        """Hold a place for a request with a body of that size; refuse it (429) where there is none."""
        if self.taken >= self._boundaries.waiting or (self.taken and self.held + size > self._boundaries.held):
            raise Refused(
                429,
                f"{self.taken} requests are waiting or being answered; send it again later",
                {"Retry-After": str(AGAIN_SECONDS)},
            )
        self.taken += 1
        self.held += size
        try:
            yield
        finally:
            self.taken -= 1
            self.held -= size


class Worker:
    """A thread of its own for whatever is not instant: reading, the network, writing.

    It ends with the process (a network in the middle of a large image cannot be stopped otherwise).
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any], asyncio.AbstractEventLoop]] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name="answering", daemon=True)
        self._thread.start()

    async def run(self, act: Callable[[], Any]) -> Any:
        """Return what `act` returns, or raise what it raises; a job that was cancelled before its turn is left out."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._jobs.put((act, future, loop))
        return await future

    def _work(self) -> None:
        while True:
            act, future, loop = self._jobs.get()
            if future.cancelled():
                continue
            result, error = None, None
            try:
                result = act()
            except BaseException as raised:  # whatever it is belongs to the request, and the thread must go on
                error = raised
            try:
                loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:  # the loop was closed: nobody waits any more
                return
            del act, future, result, error


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
