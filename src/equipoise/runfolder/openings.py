"""Openings of the test set as the record holds them, and the part of the plan that they cover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.runfolder.ledger import TEST_OPENED, Event


@dataclass(frozen=True)
class Openings:
    """How often the test set was opened, how many of these openings the plan does not name, and the look reached."""

    total: int
    unplanned: int
    look: int | None


def openings(events: Sequence[Event], looks: Sequence[int]) -> Openings:
    """What a ledger says of the openings; without looks the plan names one."""
    opened = [event.data.get("look") for event in events if event.kind == TEST_OPENED]
    due: list[int | None] = list(looks) or [None]
    planned = 0
    for look in opened:
        planned += planned < len(due) and look == due[planned]
    return Openings(len(opened), len(opened) - planned, looks[max(planned, 1) - 1] if looks else None)


def up_to_look(lock: Mapping[str, Any], look: int | None) -> dict[str, Any]:
    """The plan as far as it was carried out: without the seeds that no look asked for yet."""
    if look is None:
        return dict(lock)
    seeds = lock["seeds"][:look]
    return {**lock, "seeds": seeds, "jobs": [job for job in lock["jobs"] if job["seed"] in seeds]}
