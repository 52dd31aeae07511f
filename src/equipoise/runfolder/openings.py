"""Count the openings of the test set in the ledger, and find the part of the plan that they cover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.runfolder.ledger import TEST_OPENED, Event


@dataclass(frozen=True)
class Openings:
    """The number of test openings, the number of those that are not in the plan, and the look reached."""

    total: int
    unplanned: int
    look: int | None


def openings(events: Sequence[Event], looks: Sequence[int]) -> Openings:
    """Count the openings in a ledger; a plan without looks has one opening."""
    opened = [event.data.get("look") for event in events if event.kind == TEST_OPENED]
    due: list[int | None] = list(looks) or [None]
    planned = 0
    for look in opened:
        # In order: a look that is opened twice, or before its turn, gave somebody an unplanned view of the test set.
        planned += planned < len(due) and look == due[planned]
    return Openings(len(opened), len(opened) - planned, looks[max(planned, 1) - 1] if looks else None)


def up_to_look(lock: Mapping[str, Any], look: int | None) -> dict[str, Any]:
    """Return the plan up to a look: without the seeds of later looks, which were not trained."""
    if look is None:
        return dict(lock)
    seeds = lock["seeds"][:look]
    return {**lock, "seeds": seeds, "jobs": [job for job in lock["jobs"] if job["seed"] in seeds]}
