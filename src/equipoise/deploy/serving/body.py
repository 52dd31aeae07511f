"""A body from the network to a file, under limits of size and time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from equipoise.deploy.serving.boundaries import Boundaries, ClientLeft, Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_DRAINED_BYTES, _DRAINED_SECONDS = 8 << 20, 1.0


def claimed_length(headers: Mapping[str, str], boundaries: Boundaries) -> int | None:
    """Return the length that the headers claim, None where they claim none; refuse one beyond the limit."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "bodies with a Content-Encoding are not accepted; send the file as it is")
    text = headers.get("content-length", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise Refused(400, "the header Content-Length is not a number; leave it to your HTTP library")
    if len(text) > 18 or int(text) > boundaries.largest:
        raise boundaries.too_large("the body has", int(text) if len(text) <= 18 else None)
    return int(text)


async def receive_file(receive: Receive, place: Path, boundaries: Boundaries) -> int:
    """Write a body to a file as it comes, and return its bytes.

    Raises Refused for one that is larger than allowed (413) or slower (408), ClientLeft where the client ended it.
    """
    began, received = time.monotonic(), 0
    with place.open("xb") as stream:
        while True:
            left = boundaries.seconds_for(received) - (time.monotonic() - began)
            message = await _next(receive, left)
            piece: bytes = message.get("body", b"")
            received += len(piece)
            if received > boundaries.largest:
                raise boundaries.too_large("the body has more than")
            stream.write(piece)
            if not message.get("more_body", False):
                break
    if not received:
        raise Refused(400, "the request has no body; send the image as its body")
    return received


async def _next(receive: Receive, seconds: float) -> MutableMapping[str, Any]:
    try:
        async with asyncio.timeout(max(seconds, 0)):
            message = await receive()
    except TimeoutError as error:
        raise Refused(408, "the body came too slowly; send it again over a faster line") from error
    if message["type"] == "http.disconnect":
        raise ClientLeft
    return message


class Incoming:
    """What the network hands on, with the knowledge of whether the body has ended."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self.ended = receive, False

    async def __call__(self) -> MutableMapping[str, Any]:
        """Return the next message."""
        message = await self._receive()
        self.ended |= message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Take what a refused client still sends, for a moment: it reads no answer before it has sent a little."""
        taken = 0
        try:
            async with asyncio.timeout(_DRAINED_SECONDS):
                while taken < _DRAINED_BYTES and not self.ended:
                    taken += len((await self()).get("body", b""))
        except TimeoutError:
            return
