"""How much, how long and how many a server takes on, and the refusal of what is beyond."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from equipoise.cohorts.formats.limits import DEFAULT, GIB, MIB, Limits
from equipoise.cohorts.formats.memory import free_memory_bytes

LEAST_BYTES = 64 * MIB
ROOMY = 32
"""Bytes allowed for each voxel of the largest training image: stored as 8 bytes, of four times its size."""


class Refused(Exception):
    """A request that is not answered: its status, and a sentence for whoever sent it.

    headers: of the response. The sentence must never reach the log: it may hold what a file says of a patient.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, dict(headers or {})


class ClientLeft(Exception):
    """The client ended the connection before it had its answer: no error."""


@dataclass(frozen=True)
class Boundaries:
    """What one server takes on.

    largest: bytes of a body, of all that it unpacks to, and of the image that its headers claim. members: files in one
    request. waiting: requests that are taken in, wait or are answered at once. held: bytes of their bodies together.
    seconds: for a body, plus one for each `pace` bytes of it; the same for a client to take its answer. connections:
    open at once. memory_gb: that one answer may take.
    """

    largest: int
    members: int = 10_000
    waiting: int = 64
    held: int = 0
    seconds: float = 10.0
    pace: int = 256 * 1024
    connections: int = 512
    memory_gb: float = field(default_factory=lambda: max(0.5, min(16.0, free_memory_bytes() / 2e9)))

    def __post_init__(self) -> None:
        if not self.held:
            object.__setattr__(self, "held", 8 * self.largest)

    @property
    def files(self) -> Limits:
        """The limits for the readers of files."""
        return replace(
            DEFAULT,
            file_bytes=min(DEFAULT.file_bytes, self.largest),
            array_bytes=min(DEFAULT.array_bytes, self.largest),
            inflated_bytes=min(DEFAULT.inflated_bytes, self.largest),
            frames=min(DEFAULT.frames, self.members),
        )

    def seconds_for(self, received: int) -> float:
        """Return the time that a client may have taken when it has sent or fetched so many bytes."""
        return self.seconds + received / self.pace

    def too_large(self, what: str, size: int | None = None) -> Refused:
        """Return the refusal of something that is larger than an image may be."""
        there = "" if size is None else f" {size} bytes, which is"
        return Refused(
            413,
            f"{what}{there} more than the {self.largest} bytes that this server takes; send less, or start it with a "
            "larger --max-mb",
        )


def boundaries_for(limits: Mapping[str, Any], **changed: Any) -> Boundaries:
    """Return the boundaries for a bundle: from the largest image of its training; changed: fields that are given."""
    voxels = math.prod(map(int, limits["sides"]["high"])) * len(limits["levels"]["high"][0])
    largest = min(4 * GIB, max(LEAST_BYTES, ROOMY * voxels))
    return Boundaries(**{"largest": largest, **{name: value for name, value in changed.items() if value is not None}})
