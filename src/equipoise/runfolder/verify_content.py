"""Compare the tables of a run folder with its plan: parts, patients, labels, and whose predictions they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.runfolder.paths import CASES, LOCK, PREDICTIONS
from equipoise.runfolder.verify import Contradiction

if TYPE_CHECKING:
    from equipoise.evaluation.predictions import Predictions
    from equipoise.runfolder.read import JobRecord

_PARTS = ("train", "validation", "test")
Rows = Sequence[Mapping[str, str]]


def parts_and_cases(lock: Mapping[str, Any], cases: Rows, everyone: tuple[str, ...]) -> list[Contradiction]:
    """Return what the parts of the plan, and cases.csv, say otherwise than each other; it concerns `everyone`."""
    return [Contradiction(text, everyone) for text in (*_parts(lock), *_of_cases(lock, cases))]


def without_foreign_tables(
    lock: Mapping[str, Any], cases: Rows, jobs: Sequence["JobRecord"]
) -> tuple[tuple["JobRecord", ...], list[Contradiction]]:
    """Return the jobs without those tables of predictions that cannot be theirs, and what says so.

    Such a table is no prediction of the job: with it, arms would be compared on other cases, patients or labels.
    """
    patient = {row["case"]: row["patient"] for row in cases if "case" in row and "patient" in row}
    label = {row["case"]: row["label"] for row in cases if "case" in row and row.get("label")}
    checked, problems = [], []
    for job in jobs:
        texts = [] if job.predictions is None else list(_of_table(job, job.predictions, lock, patient, label))
        problems += [Contradiction(f"{PREDICTIONS} of {job.name} {text}", (job.arm,)) for text in texts]
        reason = f"its {PREDICTIONS} {texts[0]}" if texts else ""
        checked.append(replace(job, status="missing", reason=reason, predictions=None) if texts else job)
    return tuple(checked), problems


def _parts(lock: Mapping[str, Any]) -> Iterator[str]:
    """Name cases that lie in two parts of one fold."""
    for number, fold in enumerate(lock["split"]["folds"]):
        seen: dict[str, str] = {}
        for part in _PARTS:
            twice = next((case for case in fold[part] if case in seen), None)
            if twice is not None:
                yield f"{LOCK}: the case {twice!r} is in {seen[twice]} and in {part} of fold {number}"
            seen |= dict.fromkeys(fold[part], part)


def _of_cases(lock: Mapping[str, Any], cases: Rows) -> Iterator[str]:
    """Compare the parts of every case in cases.csv with the folds of the lock."""
    for number, fold in enumerate(lock["split"]["folds"]):
        column = f"part_{number}"
        if not cases or column not in cases[0]:
            continue
        planned = {case: part for part in _PARTS for case in fold[part]}
        listed = {row["case"]: row[column] or None for row in cases if "case" in row}
        other = next((case for case in (*listed, *planned) if listed.get(case) != planned.get(case)), None)
        if other is not None:
            there, here = listed.get(other) or "no part", planned.get(other) or "no part"
            yield f"{CASES} has the case {other!r} in {there} of fold {number}, and {LOCK} in {here}"


def _of_table(
    job: "JobRecord",
    table: "Predictions",
    lock: Mapping[str, Any],
    patient: Mapping[str, str],
    label: Mapping[str, str],
) -> Iterator[str]:
    for name, column, own in (
        ("arm", table.arm, job.arm),
        ("fold", table.fold, job.fold),
        ("seed", table.seed, job.seed),
    ):
        other = np.flatnonzero(column != own)
        if len(other):
            yield f"is that of {name} {str(column[other[0]])[:80]!r}"
    keys, rows = np.unique(np.stack([table.split, table.case]), axis=1, return_counts=True)
    if len(table) and rows.max() > 1:
        yield f"has more than one row of the case {str(keys[1, rows.argmax()])!r}"
    folds = lock["split"]["folds"]
    fold = folds[job.fold] if job.fold < len(folds) else dict.fromkeys(_PARTS, ())
    for part in _PARTS:
        planned = set(fold[part])
        foreign = next((case for case in table.case[table.split == part].tolist() if case not in planned), None)
        if foreign is not None:
            yield f"has the case {foreign!r} in {part}, where the plan does not have it"
    owners = zip(table.case.tolist(), table.patient.tolist(), strict=True)
    other_patient = next(((case, own) for case, own in owners if patient.get(case, own) != own), None)
    if other_patient is not None:
        case, own = other_patient
        yield f"says that {case!r} is of patient {own!r}, and {CASES} says {patient[case]!r}"
    yield from _of_labels(table, label)


def _of_labels(table: "Predictions", label: Mapping[str, str]) -> Iterator[str]:
    if not table.classes:
        return
    truths = (
        (case, table.classes[truth]) for case, truth in zip(table.case.tolist(), table.truth.tolist(), strict=True)
    )
    other = next(((case, name) for case, name in truths if label.get(case, name) != name), None)
    if other is not None:
        yield f"says that {other[0]!r} is {other[1]!r}, and {CASES} says {label[other[0]]!r}"
