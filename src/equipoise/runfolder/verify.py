"""Compare a run folder with its ledger in both directions, and both with the plan.

What the ledger records and the folder lacks or contradicts is named, and so is what the folder holds without a record:
a check of hashes alone would pass a folder from which somebody removed the runs that he did not like.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.runfolder.chronology import clock_problems, ends, order_problems, planned_jobs, record_of
from equipoise.runfolder.evidence import MAPS, RECORD_OF_FILES, RECORD_OF_MAPS, WEIGHTS_FILE, sha256_of
from equipoise.runfolder.ledger import EXPLAINED, FINISHED, LOCKED, PREDICTED, TEST_OPENED, Event, Ledger
from equipoise.runfolder.paths import (
    BASELINES,
    CANDIDATES,
    CASES,
    DONE,
    DRAWS,
    JOBS,
    LEDGER,
    LOCK,
    PREDICTIONS,
    job_file,
)
from equipoise.runfolder.plan import plan_differences

if TYPE_CHECKING:
    from equipoise.protocol import Protocol
    from equipoise.runfolder.read import JobRecord

FULL_RECORD = 3
"""Schema of lock.json from which on its ledger holds the hash of every file that a verdict rests on."""


@dataclass(frozen=True)
class Contradiction:
    """A sentence on what does not agree, and the arms and trivial rules on which no verdict can rest for it."""

    text: str
    arms: tuple[str, ...] = ()


def recorded_and_present(
    path: Path, lock: Mapping[str, Any], ledger: Ledger, jobs: Sequence["JobRecord"], rules: Sequence["JobRecord"]
) -> list[Contradiction]:
    """Return everything in which a run folder and its ledger contradict each other."""
    events = ledger.events
    everyone = tuple(dict.fromkeys(job.arm for job in (*jobs, *rules)))
    return [
        *_of_lock(path, lock, events),
        *(Contradiction(f"{LEDGER}: {text}") for text in order_problems(events, lock)),
        *(Contradiction(f"{LEDGER}: {text}") for text in clock_problems(events, lock)),
        *_of_ends(path, lock, events, jobs),
        *_of_predictions(path, events, jobs, rules),
        *_of_maps(path, events),
        *_unplanned(path, lock),
        *([] if _opened(events) else _unrecorded(jobs, rules, everyone)),
    ]


def _unplanned(path: Path, lock: Mapping[str, Any]) -> Iterator[Contradiction]:
    """Name folders of jobs that the plan has not: somebody laid them there, and a reader may take them for runs."""
    planned = set(planned_jobs(lock)) | {f"{job['arm']}/{DRAWS}" for job in lock["jobs"]}
    present = (f"{folder.parent.name}/{folder.name}" for folder in sorted((path / JOBS).glob("*/*")) if folder.is_dir())
    others = [name for name in present if name not in planned]
    if others:
        shown = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        yield Contradiction(f"{JOBS} holds {shown}, which the plan has not")


def _opened(events: Sequence[Event]) -> bool:
    return any(event.kind == TEST_OPENED for event in events)


def _unrecorded(
    jobs: Sequence["JobRecord"], rules: Sequence["JobRecord"], everyone: tuple[str, ...]
) -> Iterator[Contradiction]:
    if any(job.predictions is not None for job in (*jobs, *rules)):
        yield Contradiction(f"there are test predictions, and {LEDGER} records no opening of the test set", everyone)


def _of_lock(path: Path, lock: Mapping[str, Any], events: Sequence[Event]) -> Iterator[Contradiction]:
    """Compare the files of the plan with their hashes in the first event."""
    schema = lock.get("schema", 1)
    if isinstance(schema, int) and schema >= FULL_RECORD and record_of(events) < RECORD_OF_FILES:
        yield Contradiction(f"{LEDGER} lacks the hashes that a lock of schema {schema} has recorded")
    locked = next((event for event in events if event.kind == LOCKED), None)
    if locked is None:
        return
    for key, name in (("lock_sha256", LOCK), ("cases_sha256", CASES)):
        yield from _compare(path, name, locked.data.get(key))
    if locked.data.get("protocol_sha256") != lock["protocol_sha256"]:
        yield Contradiction(f"{LOCK} belongs to another protocol than the one that {LEDGER} recorded")


def _compare(path: Path, name: str, digest: Any, arms: tuple[str, ...] = ()) -> Iterator[Contradiction]:
    """Compare one file with its recorded hash, which older ledgers lack."""
    if digest is None:
        return
    present = sha256_of(path / name)
    if present is None:
        yield Contradiction(f"{name} is missing, and {LEDGER} recorded it; restore the original", arms)
    elif present != digest:
        text = f"{name} is not the file that {LEDGER} recorded; restore the original, or run the trial again"
        yield Contradiction(text, arms)


def _of_ends(
    path: Path, lock: Mapping[str, Any], events: Sequence[Event], jobs: Sequence["JobRecord"]
) -> Iterator[Contradiction]:
    """Compare how the jobs ended with what the ledger says of it."""
    recorded = ends(events)
    for name, event in recorded.items():
        arm = name.partition("/")[0]
        files = event.data.get("files")
        for file, digest in files.items() if isinstance(files, dict) else ():
            # Weights may be deleted to save room: a report reads the predictions that were made with them.
            if file != WEIGHTS_FILE or (path / job_file(name, file)).is_file():
                yield from _compare(path, job_file(name, file), digest, (arm,))
    looks = [event.data.get("look") for event in events if event.kind == TEST_OPENED]
    due = {name for look in looks for name in planned_jobs(lock, look if type(look) is int else None)}
    for job in jobs:
        yield from _of_end(path, job, recorded.get(job.name), job.name in due and record_of(events) > 1)


def _of_end(path: Path, job: "JobRecord", event: Event | None, is_due: bool) -> Iterator[Contradiction]:
    status = job.done.get("status")
    if event is None:
        if is_due and status is not None:
            yield Contradiction(f"{job.name} has ended, and {LEDGER} records no end of it", (job.arm,))
        return
    files = event.data.get("files")
    if not (path / job_file(job.name, DONE)).is_file():
        # With a hash in the ledger the missing file is named already.
        if not isinstance(files, dict) or DONE not in files:
            text = f"{LEDGER} records that {job.name} {event.kind}, and its {DONE} is missing; restore the original"
            yield Contradiction(text, (job.arm,))
    elif status is None or (status == FINISHED) != (event.kind == FINISHED):
        text = f"{LEDGER} records that {job.name} {event.kind}, and its {DONE} says {str(status)[:40]!r}"
        yield Contradiction(text, (job.arm,))


def _of_predictions(
    path: Path, events: Sequence[Event], jobs: Sequence["JobRecord"], rules: Sequence["JobRecord"]
) -> Iterator[Contradiction]:
    """Compare the predictions and what stands beside them with the last record of predictions."""
    record = _predicted(events)
    everyone = tuple(dict.fromkeys(job.arm for job in (*jobs, *rules) if job.predictions is not None))
    if record is None:
        if everyone and _opened(events):
            yield Contradiction(
                f"there are test predictions that {LEDGER} does not record; the same command records those of a run "
                "that was interrupted here",
                everyone,
            )
        return
    for key, file in (("sha256", PREDICTIONS), ("candidates_sha256", CANDIDATES)):
        digests = record[key]
        planned = {job.name for job in jobs}
        for name, digest in digests.items():
            # The plan may have fewer jobs than the record where a look is reported again; ledgers of version 0.1 are
            # held to the jobs of the plan alone.
            if record_of(events) < RECORD_OF_FILES and name not in planned:
                continue
            yield from _compare(path, job_file(name, file), digest, (name.partition("/")[0],))
    for name, digest in record["files"].items():
        yield from _compare(path, name, digest, _owners(name))
    if record_of(events) >= RECORD_OF_FILES:
        yield from _without_record(record, jobs, rules)


def unrecorded_maps(path: Path, events: Sequence[Event]) -> tuple[str, ...]:
    """Return the files of attribution maps whose hash the ledger does not hold."""
    recorded = _maps(events)
    return tuple(name for name in MAPS if name not in recorded and (path / name).is_file())


def interrupted_maps(path: Path, events: Sequence[Event]) -> tuple[str, ...]:
    """Return the files of attribution maps that a ledger of this version must hold, and does not yet."""
    return unrecorded_maps(path, events) if record_of(events) >= RECORD_OF_MAPS else ()


def _maps(events: Sequence[Event]) -> Mapping[str, Any]:
    made = next((event.data.get("files") for event in reversed(events) if event.kind == EXPLAINED), None)
    return made if isinstance(made, dict) else {}


def _of_maps(path: Path, events: Sequence[Event]) -> Iterator[Contradiction]:
    """Compare the attribution maps with their record; older ledgers hold none, which is a note and no contradiction."""
    for name, digest in _maps(events).items():
        yield from _compare(path, name, digest)
    for name in interrupted_maps(path, events):
        yield Contradiction(
            f"{LEDGER} does not record {name}; the same command records that of a run that was interrupted here"
        )


def _owners(name: str) -> tuple[str, ...]:
    """Return the arm or the rule whose numbers a file holds; none for pictures."""
    folder, _, rest = name.partition("/")
    return (rest.partition("/")[0],) if folder in (JOBS, BASELINES) else ()


def _predicted(events: Sequence[Event]) -> dict[str, dict[str, Any]] | None:
    """Return all recorded hashes of predictions, the last of each file; None where there is no such event."""
    kept = [event.data for event in events if event.kind == PREDICTED]
    if not kept:
        return None
    # All events together: an opening of fewer seeds, taken again, records the predictions of these alone.
    record: dict[str, dict[str, Any]] = {key: {} for key in ("sha256", "candidates_sha256", "files")}
    for data in kept:
        for key, digests in record.items():
            digests |= data[key] if isinstance(data.get(key), dict) else {}
    return record


def _without_record(
    record: Mapping[str, Mapping[str, Any]], jobs: Sequence["JobRecord"], rules: Sequence["JobRecord"]
) -> Iterator[Contradiction]:
    """Name predictions in the folder that the record of predictions does not hold."""
    for job in jobs:
        if job.predictions is not None and job.name not in record["sha256"]:
            yield Contradiction(f"{LEDGER} records no predictions of {job.name}, and there are some", (job.arm,))
    for rule in rules:
        name = f"{BASELINES}/{rule.arm}/{rule.fold}-{rule.seed}/{PREDICTIONS}"
        if rule.predictions is not None and name not in record["files"]:
            yield Contradiction(f"{LEDGER} records no {name}, but the file exists", (rule.arm,))


def plan_and_protocol(lock: Mapping[str, Any], protocol: "Protocol | None") -> list[Contradiction]:
    """Return what the lock says otherwise than the very protocol that it locked.

    protocol: None where the file is not the one that was locked, which is told elsewhere.
    """
    if protocol is None:
        return []
    return [Contradiction(f"{LOCK}: {text}") for text in plan_differences(lock, protocol)]
