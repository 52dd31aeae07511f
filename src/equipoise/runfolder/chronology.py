"""Check the order and the times of a ledger's events: a chain of hashes alone proves no sensible history."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from equipoise.runfolder.ledger import (
    FAILED,
    FINISHED,
    JOB_PREDICTED,
    KINDS,
    LOCKED,
    OTHERWISE,
    PREDICTED,
    RESTARTED,
    STARTED,
    TEST_OPENED,
    Event,
)
from equipoise.runfolder.paths import draw_name, job_name

_AHEAD = timedelta(days=1)
_BETWEEN = timedelta(seconds=1)
"""lock.json states whole seconds, and its event milliseconds."""


def record_of(events: Sequence[Event]) -> int:
    """Return the version of what the ledger records; 1 for ledgers of equipoise 0.1, which hold less."""
    version = events[0].data.get("record", 1) if events else 1
    return version if type(version) is int else 1


def planned_jobs(lock: Mapping[str, Any], look: int | None = None) -> list[str]:
    """Return the names of the jobs in the plan, up to a look."""
    seeds = lock["seeds"] if look is None else lock["seeds"][:look]
    return [job_name(str(job["arm"]), job["fold"], job["seed"]) for job in lock["jobs"] if job["seed"] in seeds]


def planned_draws(lock: Mapping[str, Any]) -> list[str]:
    """Return the names of the draws of tuning in the plan."""
    arms = (lock.get("tuning") or {}).get("arms", {})
    folds = range(len(lock["split"]["folds"]))
    return [draw_name(arm, k, draw) for arm, plan in arms.items() for k in folds for draw in range(len(plan["draws"]))]


def ends(events: Sequence[Event]) -> dict[str, Event]:
    """Return the recorded end of every job by the job's name; none of a job that was begun again since."""
    standing: dict[str, Event] = {}
    for event in events:
        if event.kind in (FINISHED, FAILED) and _names_job(event):
            standing[event.data["job"]] = event
        elif event.kind == RESTARTED:
            jobs = event.data.get("jobs")
            for name in jobs if isinstance(jobs, list) else ():
                standing.pop(str(name), None)
    return standing


def trained_otherwise(events: Sequence[Event]) -> list[str]:
    """Return the jobs that are recorded to have been trained again with other results, by name."""
    others = (one.data for one in events if one.kind in (FINISHED, FAILED) and one.data.get(OTHERWISE))
    return sorted({str(data.get("job")) for data in others})


def _names_job(event: Event) -> bool:
    return isinstance(event.data.get("job"), str)


def clock_problems(events: Sequence[Event], lock: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for every event whose time cannot be: before its predecessor, or in the future."""
    times = [_time(event.time) for event in events]
    for event, time in zip(events, times, strict=True):
        if time is None:
            yield f"event {event.number} ({event.kind}) has the time {event.time[:40]!r}, which is not a valid time"
    known = [(event, time) for event, time in zip(events, times, strict=True) if time is not None]
    locked_at = _time(str(lock.get("locked_at", "")))
    if locked_at is not None and known and known[0][1] < locked_at - _BETWEEN:
        yield f"the lock says that it was made at {lock['locked_at']}, after the first event of the ledger"
    for (_, earlier), (event, time) in pairwise(known):
        if time < earlier:
            behind = (earlier - time).total_seconds()
            yield f"the clock ran backwards by {behind:g} s before event {event.number} ({event.kind})"
    if known and known[-1][1] > datetime.now(UTC) + _AHEAD:
        yield f"event {known[-1][0].number} lies in the future ({known[-1][0].time})"


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


@dataclass
class _State:
    """What the events so far amount to."""

    started: set[str] = field(default_factory=set)
    ended: dict[str, str] = field(default_factory=dict)
    opened: list[int | None] = field(default_factory=list)


def order_problems(events: Sequence[Event], lock: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for every event that cannot follow those before it."""
    if not events:
        return
    if events[0].kind != LOCKED:
        yield f"the first event is {events[0].kind!r}, and the plan must be locked first"
    if sum(event.kind == LOCKED for event in events) > 1:
        yield "the plan was locked more than once"
    strict = record_of(events) > 1
    planned, draws = set(planned_jobs(lock)), set(planned_draws(lock))
    state = _State()
    for event in events:
        if event.kind in (STARTED, RESTARTED):
            yield from _begin(event, state, lock)
        elif event.kind in (FINISHED, FAILED) and (strict or _names_job(event)):
            yield from _end(event, state, planned | draws, lock)
        elif event.kind == TEST_OPENED:
            yield from _opening(event, state, lock, strict)
        elif event.kind in (JOB_PREDICTED, PREDICTED) and not state.opened:
            yield "predictions were recorded before the test set was opened"
        elif event.kind not in KINDS:
            yield f"event {event.number} is of the kind {event.kind!r}, which this version does not know"


def _begin(event: Event, state: _State, lock: Mapping[str, Any]) -> Iterator[str]:
    jobs = event.data.get("jobs")
    names = [str(name) for name in jobs] if isinstance(jobs, list) else []
    state.started |= set(names)
    late = [name for name in names if _opened_already(name, state, lock)]
    if late:
        yield f"{late[0]} was trained after the test set was opened"
    if event.kind == RESTARTED:
        for name in names:
            state.ended.pop(name, None)


def _opened_already(name: str, state: _State, lock: Mapping[str, Any]) -> bool:
    """Return whether a job belongs to an opening that was taken already."""
    return any(name in planned_jobs(lock, look) for look in state.opened)


def _end(event: Event, state: _State, planned: set[str], lock: Mapping[str, Any]) -> Iterator[str]:
    name = event.data.get("job")
    if not isinstance(name, str) or name not in planned:
        yield f"event {event.number} records the end of {name!r}, which is not a job of the plan"
        return
    if name in state.ended:
        yield f"{name} ended twice, first {state.ended[name]}, then {event.kind}"
    if name not in state.started:
        yield f"{name} {event.kind} without having been started"
    if _opened_already(name, state, lock):
        yield f"{name} ended after the test set was opened"
    state.ended[name] = event.kind


def _opening(event: Event, state: _State, lock: Mapping[str, Any], strict: bool) -> Iterator[str]:
    look = event.data.get("look")
    look = look if type(look) is int else None
    state.opened.append(look)
    jobs = event.data.get("jobs")
    if not isinstance(jobs, list):
        if strict:
            yield f"event {event.number} opens the test set and names no jobs"
        return
    due = planned_jobs(lock, look)
    early = [name for name in due if name not in state.ended]
    if early:
        yield f"the test set was opened before {early[0]} had ended"
    finished = {name for name in due if state.ended.get(name) == FINISHED}
    other = sorted(finished.symmetric_difference(map(str, jobs)))
    if other and not early:
        yield f"the opening of the test set and the ends of the jobs disagree on {other[0]}"
