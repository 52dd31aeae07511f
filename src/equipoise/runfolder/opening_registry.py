"""Remember on this machine which test cases were opened, by which plan: a second look at them is no longer the first.

A run folder that is deleted takes its ledger with it. Without a memory outside of it, the same test cases could be
opened with one split seed after another until the result pleases. The registry is a file in the user's cache to which
lines are only appended; a new machine, or a deleted cache, does not know them.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from equipoise.cohorts import Cohort
from equipoise.errors import LedgerError
from equipoise.progress import remark
from equipoise.runfolder.ledger import Event, Ledger
from equipoise.runfolder.opened_cases import OpenedCases, same_cohort
from equipoise.runfolder.paths import BY_CASE, LEDGER
from equipoise.runfolder.registry_file import append, are_texts, is_text, rows_of
from equipoise.runfolder.relation import arms_of, differences, in_common, judged_by
from equipoise.runfolder.study_family import family_of

_FILE = "openings.jsonl"
_NO_PART_OF_THE_PLAN = (
    "locked_at", "machine", "code_folder", "prior_openings", "leaks", "telling", "not_leaks", "study",
    "initial_weights", "prior_trainings", "unrecorded", "gradient_evaluations", "prior_seeds",
)  # fmt: skip
"""Keys of a lock that another place or day changes; two locks that agree in all others give the same numbers."""


@dataclass(frozen=True)
class Place:
    """Where a trial belongs: the study of which it is a trial, and the trial of which it is the contrast by case.

    family: what lock.json keeps of the study, as `study_family.family_of` returns it; None outside of one.
    """

    folder: Path
    study: str | None
    parent: str | None
    family: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, folder: Path) -> "Place":
        """Find out where a run folder belongs."""
        parent, whole = None, folder
        if folder.name == BY_CASE and (folder.parent / LEDGER).is_file():
            events = Ledger(folder.parent).events
            parent, whole = (events[0].hash if events else None), folder.parent
        family = family_of(whole)
        study = None if family is None else family["study_sha256"]
        return cls(folder.resolve(), study, parent, None if parent else family)


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
    lock: Mapping[str, Any], opened: OpenedCases, place: Place, run: str = "", *, planned: bool = False
) -> list[dict[str, Any]]:
    """Return the earlier openings of any of these test cases, or of their cohort for a related arm, by other plans.

    run: the hash of the trial's own first event, whose openings are its own. A repeat of the very same plan gives the
    same numbers, and is no further look; what others opened after the plan's first opening does not count against it.
    planned: no arm has been tried, so that a plan of this protocol on these data is taken for the very same.
    Where the registry cannot be read there are none, with a remark.
    """
    rows, cases = list(_rows()), len(opened.files)
    same = {plan_identity(lock)}
    if planned:
        of_plan = (lock["protocol_sha256"], lock["cohort"]["fingerprint"])
        same |= {row["plan"] for row in rows if (row["protocol"], row["fingerprint"]) == of_plan}
    openings: dict[str, dict[str, Any]] = {}
    for row in _before_repeated(rows, same, place, run):
        own = row["run"] == run or row["plan"] in same or place.parent == row["run"] or (run and row["parent"] == run)
        shared, common = opened.shared_with(row["cases"], row.get("pixels", ())), in_common(row["arms"], lock)
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
    return list(openings.values())


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
        "registered_at": datetime.now(UTC).isoformat(timespec="seconds"), "cases": list(opened.files),
        "pixels": opened.pixels_to_keep,
    }  # fmt: skip
    _append(row)


def opened_runs() -> set[str]:
    """Return the runs whose test set was opened on this machine, by the hashes of their first events."""
    return {str(row["run"]) for row in _rows()}


def register_predictions(identity: str, run: str, digest: str, name: str) -> None:
    """Append what predictions an opening gave. run: the hash of the first event. digest: of the predictions of jobs."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    _append({"kind": "predicted", "plan": identity, "run": run, "digest": digest, "time": time, "name": name})


def other_results(identity: str, run: str, digest: str) -> list[dict[str, Any]]:
    """Return the earlier runs of this very plan whose predictions were others, as rows of earlier openings.

    Equal predictions are no further look; others are one more attempt, which a failure made on purpose may have chosen.
    """
    openings: dict[str, dict[str, Any]] = {}
    for row in _all_rows(_is_prediction):
        if row["plan"] == identity and row["run"] != run and row["digest"] != digest:
            openings[row["run"]] = {
                "opening": row["run"], "opened_at": row["time"], "name": row["name"], "same_plan": True,
            }  # fmt: skip
    return list(openings.values())


def _append(row: Mapping[str, Any]) -> None:
    try:
        append(_FILE, [row])
    except OSError as error:
        remark(f"the opening of the test set could not be recorded for later trials ({error})")


def refuse_replaced(ledger: Ledger, place: Place) -> None:
    """Raise LedgerError where this machine saw the same run folder with openings that its ledger no longer has."""
    if not ledger.events:
        return
    known = {event.hash for event in ledger.events}
    for row in _rows():
        if (row["run"], row["folder"]) == (ledger.events[0].hash, str(place.folder)) and row["opening"] not in known:
            raise LedgerError(
                f"{ledger.path} was cut or replaced: it lacks the opening of the test set of {row['time']}; restore "
                "the original file, or run the trial again in a new folder"
            )


_TEXTS = ("opening", "time", "run", "folder", "plan", "protocol", "fingerprint", "question", "primary")
_TEXTS_OR_NONE = ("study", "parent")
_LISTS = ("arms", "cases")
_NEWER_TEXTS, _NEWER_LISTS = ("name", "endpoints", "images"), ("pixels",)
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
    keys = ("plan", "run", "digest", "time", "name")
    return isinstance(row, dict) and row.get("kind") == "predicted" and all(is_text(row.get(key)) for key in keys)


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
    )
