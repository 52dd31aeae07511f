"""Look up which test cases earlier plans validated on: their results may have chosen the cases, as an opening can.

Whoever validates two arms on some cases, ends the trial before its opening and makes these cases the test part has
seen the difference that the test will show. It counts as an opening of them, from the first validated epoch on.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from equipoise.runfolder.ledger import Ledger
from equipoise.runfolder.opened_cases import OpenedCases
from equipoise.runfolder.opening_registry import first_opening, plan_identity
from equipoise.runfolder.place import Place
from equipoise.runfolder.relation import in_common
from equipoise.runfolder.training_registry import VALIDATED_KINDS, VALIDATION, registry_rows

KEYS = ("cases", "pixels", "parts")
_FEW = 0.2
"""Share of the test cases below which trials of which no job has ended count for nothing: their case-by-case results
exist nowhere, and a mean over cases of which few are tested now says little of these. A new split of a trial that was
stopped for its speed meets about the share of the validation part, a tenth."""


def prior_validations(
    lock: Mapping[str, Any], opened: OpenedCases, place: Place, ledger: Ledger | None = None, *, planned: bool = False
) -> list[dict[str, Any]]:
    """Return the trials of other plans that validated on any of these test cases, as rows of earlier openings.

    Such a row has `validated` true. What the very same plan validated is its own design, as folds are, and what others
    validated after its first opening does not count against it. planned, ledger: as in `prior_openings`.
    """
    if place.parent is not None:  # the contrast by case of a trial, whose cases are the trial's
        return []
    rows = list(registry_rows())
    trainings = [row for row in rows if row["kind"] == "training" and VALIDATION in row]
    run = ledger.events[0].hash if ledger is not None and ledger.events else ""
    same = {plan_identity(lock)}
    if planned:
        of_plan = (lock["protocol_sha256"], lock["cohort"]["fingerprint"])
        same |= {row["plan"] for row in trainings if (row["protocol"], row["fingerprint"]) == of_plan}
    since, until = _first_validated(rows), first_opening(same, place, run)
    trials: dict[str, list[Mapping[str, Any]]] = {}
    for row in trainings:
        trial, time = row["key"].partition("/")[0], since.get(row["key"])
        own = row["plan"] in same or (run and run in (trial, row["parent"]))
        if time is not None and not own and (until is None or time <= until):
            trials.setdefault(trial, []).append(row)
    ended = {key for row in rows if row["kind"] == "weights" for key in row["trainings"]}
    stopped = {name for name, folds in trials.items() if ended.isdisjoint(row["key"] for row in folds)}
    # All of them together: ten trials that are stopped see as much as one that ends.
    glimpses = _seen([fold for name in stopped for fold in trials[name]])
    if opened.shared_with(*glimpses) < _FEW * len(opened.files):
        trials = {name: folds for name, folds in trials.items() if name not in stopped}
    known = (_row(folds, since[folds[0]["key"]], lock, opened, place) for folds in trials.values())
    return [row for row in known if row["test_cases_shared"]]


def _seen(folds: Iterable[Mapping[str, Any]]) -> list[set[str]]:
    """Return the hashes of all cases that these folds were validated on, by kind."""
    rows = list(folds)
    return [{one for fold in rows for one in fold[VALIDATION][key]} for key in KEYS]


def _first_validated(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return when the first epoch of each training was validated; empty where an earlier version kept no time."""
    times: dict[str, str] = {}
    for row in rows:
        if row["kind"] in VALIDATED_KINDS:
            times.setdefault(row["training"], row.get("time", ""))
    return times


def _row(
    folds: list[Mapping[str, Any]], time: str, lock: Mapping[str, Any], opened: OpenedCases, place: Place
) -> dict[str, Any]:
    first, seen = folds[0], _seen(folds)
    return {
        "opening": f"validated {first['key'].partition('/')[0]}", "opened_at": time or first["time"],
        "name": first["name"], "protocol_sha256": first["protocol"], "validated": True,
        "test_cases_shared": opened.shared_with(*seen), "test_cases": len(opened.files),
        "in_common": in_common(first["arms"], lock),
        "same_study": place.study is not None and first["study"] == place.study,
    }  # fmt: skip
