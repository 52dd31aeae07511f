"""Connections that do not stay for nothing: headers that never end, answers that nobody fetches, too many at once."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from equipoise.deploy.serving.boundaries import Boundaries

TICK_SECONDS = 1.0


def protocol_for(boundaries: Boundaries) -> type[asyncio.Protocol]:
    """Return the protocol of a connection under these boundaries.

    uvicorn bounds how long a connection idles between requests, and neither how long headers take nor an answer.
    """

    class Bounded(H11Protocol):
        """One connection, looked at every second."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._idle_since = self._fetching_since = self.loop.time()
            self._largest_buffer = 0
            self._tick: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Take a connection on; of too many, the one ends that has been asking for nothing the longest."""
            super().connection_made(transport)
            if len(self.connections) > boundaries.connections:
                # Not the newcomer: whoever fills all places with silence would keep everyone out.
                silent = [one for one in self.connections if isinstance(one, Bounded) and not one.busy]
                min(silent, key=lambda one: one._idle_since, default=self).transport.abort()
            self._tick = self.loop.call_later(TICK_SECONDS, self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            """Stop looking at it."""
            if self._tick is not None:
                self._tick.cancel()
            super().connection_lost(exc)

        @property
        def busy(self) -> bool:
            """Whether a request has come that is not answered yet."""
            return self.cycle is not None and not self.cycle.response_complete

        def _look(self) -> None:
            now = self.loop.time()
            self._idle_since = now if self.busy else self._idle_since
            waiting = self.transport.get_write_buffer_size()
            if not waiting:
                self._fetching_since, self._largest_buffer = now, 0
            self._largest_buffer = max(self._largest_buffer, waiting)
            slow = now - self._fetching_since > boundaries.seconds_for(self._largest_buffer)
            if slow or (not waiting and now - self._idle_since > boundaries.seconds):
                # Not closed, which would wait for a client that fetches nothing.
                self.transport.abort()
                return
            self._tick = self.loop.call_later(TICK_SECONDS, self._look)

    return Bounded
