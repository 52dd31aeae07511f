"""Remember on this machine which test cases were opened, by which plan: a second look at them is no longer the first.

A run folder that is deleted takes its ledger with it. Without a memory outside of it, the same test cases could be
opened with one split seed after another until the result pleases. The registry is a file in the user's cache to which
lines are only appended; a new machine, or a deleted cache, does not know them.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from equipoise.cohorts import Cohort
from equipoise.errors import LedgerError
from equipoise.progress import remark
from equipoise.runfolder.ledger import Event, Ledger
from equipoise.runfolder.opened_cases import OpenedCases, same_cohort
from equipoise.runfolder.place import CONTRAST, Place
from equipoise.runfolder.registry_file import append, are_texts, is_text, rows_of
from equipoise.runfolder.relation import arms_of, differences, in_common, judged_by

_FILE = "openings.jsonl"
OF_CANDIDATES = "c:"
"""What a digest of tables with candidates begins with: earlier versions left the candidates out."""
_LOOK = "look"
"""The key with the number of seeds of a planned look; None in a plan without looks."""
_NO_PART_OF_THE_PLAN = (
    "locked_at", "machine", "code_folder", "prior_openings", "leaks", "telling", "not_leaks", "study",
    "initial_weights", "prior_trainings", "unrecorded", "gradient_evaluations", "prior_seeds", CONTRAST,
)  # fmt: skip
"""Keys of a lock that another place or day changes; two locks that agree in all others give the same numbers."""


def by_true_names(lock: Mapping[str, Any], cohort: Cohort) -> dict[str, Any]:
    """Return a lock as it would be without pseudonyms, which another key would have made others.

    So the plan keeps its identity. What is told in sentences, and the text of a protocol that names cases, is left out.
    """
    if cohort.known_fingerprint is None:
        return dict(lock)
    true = {case.id: case.true_name or case.id for case in cohort.cases}
    folds = [{part: [true[name] for name in names] for part, names in fold.items()} for fold in lock["split"]["folds"]]
    plan = {key: value for key, value in lock.items() if key not in ("ids", "protocol_file_sha256")}
    facts = {key: value for key, value in lock["cohort"].items() if key != "notes"}
    return plan | {"split": {**lock["split"], "folds": folds}, "cohort": facts}


def plan_identity(lock: Mapping[str, Any]) -> str:
    """Return the hash of all that decides the numbers of a trial: equal for the same plan in another folder."""
    plan = {key: value for key, value in lock.items() if key not in _NO_PART_OF_THE_PLAN}
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def prior_openings(
    lock: Mapping[str, Any], opened: OpenedCases, place: Place, ledger: Ledger | None = None, *, planned: bool = False
) -> list[dict[str, Any]]:
    """Return the earlier openings of any of these test cases, or of their cohort for a related arm, by other plans.

    ledger: the trial's own, whose openings are its own. A repeat of the very same plan gives the same numbers, and is
    no further look; what others opened after the plan's first opening does not count against it. An opening of the very
    same plan that has not ended counts: nobody knows what it would have given, and single jobs may have been read.
    planned: no arm has been tried, so that a plan of this protocol on these data is taken for the very same.
    Where the registry cannot be read there are none, with a remark.
    """
    rows, cases = list(_rows()), len(opened.files)
    events = [] if ledger is None else ledger.events
    run = events[0].hash if events else ""
    same = {plan_identity(lock)}
    if planned:
        of_plan = (lock["protocol_sha256"], lock["cohort"]["fingerprint"])
        same |= {row["plan"] for row in rows if (row["protocol"], row["fingerprint"]) == of_plan}
    openings: dict[str, dict[str, Any]] = {}
    for row in _before_repeated(rows, same, place, run):
        own = row["run"] == run or row["plan"] in same or place.parent == row["run"] or (run and row["parent"] == run)
        shared = opened.shared_with(row["cases"], row.get("pixels", ()), row.get("parts", ()))
        common = in_common(row["arms"], lock)
        # Related arms on another part of the same cohort are one more attempt too: small test sets of different seeds
        # often share no case.
        again = shared or (common and same_cohort(row, lock["cohort"]["fingerprint"], opened.images))
        if again and not own:
            openings[row["opening"]] = {
                "opening": row["opening"],
                "opened_at": row["time"],
                "name": row.get("name", ""),
                "question": row["question"],
                "protocol_sha256": row["protocol"],
                "test_cases_shared": shared,
                "test_cases": cases,
                "in_common": common,
                "differs": differences(row, lock, shared, cases),
                "same_study": place.study is not None and row["study"] == place.study,
            }
    return [*openings.values(), *_unended(rows, same, {event.hash for event in events})]


def first_opening(same: Collection[str], place: Place, run: str) -> str | None:
    """Return the time of the first opening of a plan, by its identities; None where it is the run's own, or none is."""
    rows = (row for row in _rows() if row["plan"] in same and row["study"] == place.study)
    first = next(rows, None)
    return None if first is None or first["run"] == run else str(first["time"])


def _unended(rows: list[Mapping[str, Any]], same: Collection[str], own: Collection[str]) -> list[dict[str, Any]]:
    """Return the openings of this very plan, outside of the own ledger, whose predictions were never recorded.

    own: the hashes of the ledger's events; a copy of the run folder has the first of them, and other openings.
    """
    # Lines of earlier versions, without the key, do not tell which predictions ended which opening.
    begun = [row for row in rows if row["plan"] in same and _LOOK in row and row["opening"] not in own]
    ended = {row["opening"] for row in _all_rows(_is_prediction) if "opening" in row} if begun else set()
    return [
        {"opening": row["opening"], "opened_at": row["time"], "name": row.get("name", ""), "same_plan": True,
         "unended": True}
        for row in begun if row["opening"] not in ended
    ]  # fmt: skip


def _before_repeated(
    rows: list[Mapping[str, Any]], same: Collection[str], place: Place, run: str
) -> list[Mapping[str, Any]]:
    """Return the lines up to the end of the run that this plan repeats; all of them where it repeats none.

    same: the identities of this plan.
    """
    # Not of another study: its trials were planned as a family, of which a repeat of one alone would be silent.
    repeated = next((row["run"] for row in rows if row["plan"] in same and row["study"] == place.study), run)
    if repeated == run:
        return rows
    last = max(number for number, row in enumerate(rows) if row["run"] == repeated)
    return rows[: last + 1]


def register(lock: Mapping[str, Any], opened: OpenedCases, place: Place, ledger: Ledger, event: Event) -> None:
    """Append one opening; a cache that cannot be written causes a remark and no error."""
    row = {
        "opening": event.hash, "number": event.number, "time": event.time, "run": ledger.events[0].hash,
        "folder": str(place.folder), "study": place.study, "parent": place.parent, "plan": plan_identity(lock),
        "protocol": lock["protocol_sha256"], "fingerprint": lock["cohort"]["fingerprint"], "name": lock["name"],
        "question": lock["question"], "primary": lock["endpoints"]["primary"], "endpoints": judged_by(lock),
        "arms": arms_of(lock), "seeds": lock["seeds"], "images": opened.images,
        "registered_at": _now(), "cases": list(opened.files),
        "pixels": opened.pixels_to_keep, "parts": opened.parts_to_keep, _LOOK: event.data.get("look"),
    }  # fmt: skip
    _append(row)


def is_registered(opening: Event) -> bool:
    """Return whether the registry holds an opening of a ledger."""
    return any(row["opening"] == opening.hash for row in _rows())


def opened_runs() -> set[str]:
    """Return the runs whose test set was opened on this machine, by the hashes of their first events."""
    return {str(row["run"]) for row in _rows()}


def register_predictions(identity: str, run: str, digest: str, name: str, opening: Event) -> None:
    """Append what predictions an opening gave, which ends it.

    run: the hash of the first event. digest: of the predictions of jobs. opening: its event in the ledger.
    """
    row = {"kind": "predicted", "plan": identity, "run": run, "digest": digest, "time": _now(), "name": name}
    _append(row | {"opening": opening.hash, _LOOK: opening.data.get("look")})


def register_job(run: str, job: str, digest: str) -> None:
    """Append what a job of an opening is about to write. run: the hash of the first event."""
    _append({"kind": "job predicted", "run": run, "job": job, "digest": digest, "time": _now()})


def job_digests(run: str) -> dict[str, set[str]]:
    """Return all digests of the predictions that each job of a run has given, in this folder or a copy of it."""
    digests: dict[str, set[str]] = {}
    for row in _all_rows(_is_job):
        if row["run"] == run:
            digests.setdefault(row["job"], set()).add(row["digest"])
    return digests


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def other_results(identity: str, ledger: Ledger, opening: Event, digest: str) -> list[dict[str, Any]]:
    """Return the earlier openings of this very plan that gave other predictions, as rows of earlier openings.

    Equal predictions are no further look; others are one more attempt, which a failure made on purpose may have chosen.
    A look is compared with the same look of other runs, and with another opening of the ledger's first event in a copy
    of the folder. opening: the event that gave the predictions with this digest.
    """
    run, own = ledger.events[0].hash, {event.hash for event in ledger.events}
    openings: dict[str, dict[str, Any]] = {}
    for row in _all_rows(_is_prediction):
        is_own = row["opening"] in own if "opening" in row else row["run"] == run
        # Earlier versions kept no look; theirs are compared where the plan has none.
        same = row["plan"] == identity and row.get(_LOOK) == opening.data.get("look")
        # With candidates and without are digests of two versions, and say nothing about each other.
        comparable = row["digest"].startswith(OF_CANDIDATES) == digest.startswith(OF_CANDIDATES)
        if same and comparable and not is_own and row["digest"] != digest:
            openings[row["run"]] = {
                "opening": row["run"], "opened_at": row["time"], "name": row["name"], "same_plan": True,
            }  # fmt: skip
    return list(openings.values())


def _append(row: Mapping[str, Any]) -> None:
    try:
        append(_FILE, [row])
    except OSError as error:
        remark(f"the opening of the test set could not be recorded for later trials ({error})")


def refuse_replaced(ledger: Ledger, folder: Path) -> None:
    """Raise LedgerError where this machine saw the same run folder with openings that its ledger no longer has."""
    if not ledger.events:
        return
    known = {event.hash for event in ledger.events}
    for row in _rows():
        if (row["run"], row["folder"]) == (ledger.events[0].hash, str(folder.resolve())) and row[
            "opening"
        ] not in known:
            raise LedgerError(
                f"{ledger.path} was cut or replaced: it lacks the opening of the test set of {row['time']}; restore "
                "the original file, or run the trial again in a new folder"
            )


_TEXTS = ("opening", "time", "run", "folder", "plan", "protocol", "fingerprint", "question", "primary")
_TEXTS_OR_NONE = ("study", "parent")
_LISTS = ("arms", "cases")
_NEWER_TEXTS, _NEWER_LISTS = ("name", "endpoints", "images"), ("pixels", "parts")
"""What earlier versions did not write."""


def _rows() -> Iterator[Mapping[str, Any]]:
    """Yield the openings of the registry."""
    return _all_rows(_is_whole)


def _all_rows(is_whole: Callable[[object], bool]) -> Iterator[Mapping[str, Any]]:
    try:
        yield from rows_of(_FILE, is_whole)
    except OSError as error:
        remark(f"earlier openings of the test cases could not be looked up ({error})")


def _is_prediction(row: object) -> bool:
    return (
        _is_of_texts(row, "predicted", ("plan", "run", "digest", "time", "name"))
        and isinstance(row, dict)
        and ("opening" not in row or is_text(row["opening"]))
        and _has_look(row)
    )


def _is_job(row: object) -> bool:
    return _is_of_texts(row, "job predicted", ("run", "job", "digest", "time"))


def _is_of_texts(row: object, kind: str, keys: Sequence[str]) -> bool:
    return isinstance(row, dict) and row.get("kind") == kind and all(is_text(row.get(key)) for key in keys)


def _has_look(row: Mapping[str, Any]) -> bool:
    """Return whether a line names a number of seeds, or none, or is of an earlier version."""
    look = row.get(_LOOK)
    return look is None or type(look) is int


def _is_whole(row: object) -> bool:
    """Return whether a line has everything that its readers compare, of the types that `register` wrote."""
    # Every key that is read stands here: one spoilt line would otherwise end each later trial of this machine.
    return (
        isinstance(row, dict)
        and all(is_text(row.get(key)) for key in _TEXTS)
        and all(key in row and (row[key] is None or is_text(row[key])) for key in _TEXTS_OR_NONE)
        and all(are_texts(row.get(key)) for key in _LISTS)
        and all(is_text(row[key]) for key in _NEWER_TEXTS if key in row)
        and all(are_texts(row[key]) for key in _NEWER_LISTS if key in row)
        and _has_look(row)
    )
