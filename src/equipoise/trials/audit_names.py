"""Name the cases and patients of an audit by pseudonyms in what it writes; what it judges is not touched."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.identities import NOTE_OF_AUDIT, digest_of, pseudonyms
from equipoise.cohorts.name_sieve import without_names
from equipoise.evaluation.candidate_table import FINDINGS
from equipoise.evaluation.external import Collected
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.segmentation import COUNTS
from equipoise.runfolder.read import JobRecord, RunFolder
from equipoise.statistics.endpoints import of_case

Plane = NDArray[np.uint8]
_MOST_LISTED = 6
_PSEUDONYM = re.compile(r"[cp]\d+-[0-9a-f]{10}")


def hidden(
    run: RunFolder, results: Mapping[str, Any], key: bytes, read: Collected | None = None
) -> tuple[RunFolder, dict[str, Any]]:
    """Return an audit's run and results by pseudonyms, with the columns that the audit uses alone.

    read: what the files hold, with cases that are not judged and spellings of patients that were joined. The names stay
    as they are where the tables hold pseudonyms already. Pseudonyms sort as the names do, so that pages made from the
    run show the numbers of the results.
    """
    run, note = _with_used_columns(run)
    results = {**results, "warnings": [*results["warnings"], *note]}
    known = _names(run, key)
    if not known:
        return run, results
    aside = _also_read(read) if read is not None else set()
    known = {name: f"x-{digest_of(name, key)}" for name in aside if name} | known
    kept = {*run.arms(), *run.lock["cohort"]["classes"]}
    texts = tuple(without_names(text, known) for text in run.problems)
    folds = [
        {part: [known.get(case, case) for case in cases] for part, cases in fold.items()}
        for fold in run.lock["split"]["folds"]
    ]
    back = {name: case for case, name in known.items()}
    shown = replace(
        run,
        lock={**run.lock, "split": {**run.lock["split"], "folds": folds}},
        cases=tuple(row | {"case": known[row["case"]], "patient": known[row["patient"]]} for row in run.cases),
        jobs=tuple(_job(job, known) for job in run.jobs),
        thumbnails=_Pictures(run.thumbnails, back),
        outlines=_Outlines(run.outlines, back),
        problems=(*texts, NOTE_OF_AUDIT),
        readings=tuple(without_names(text, known) for text in run.readings),
        ledger=replace(run.ledger, cautions=tuple(without_names(text, known) for text in run.ledger.cautions)),
    )
    return shown, dict(_texts(results, known, kept))


def _names(run: RunFolder, key: bytes) -> dict[str, str]:
    """Return a pseudonym for every case and patient; none where every name is one already."""
    cases, patients = {row["case"] for row in run.cases}, {row["patient"] for row in run.cases}
    for table in _tables(run):
        cases |= set(table.case.tolist())
        patients |= set(table.patient.tolist())
    if all(_PSEUDONYM.fullmatch(name) for name in cases | patients):
        return {}
    if cases & patients:
        return pseudonyms(cases | patients, key, "p")
    return pseudonyms(cases, key, "c") | pseudonyms(patients, key, "p")


def _also_read(read: Collected) -> set[str]:
    """Return every name in the files of an audit, whether it is judged or not."""
    table = read.predictions
    names = {*table.case.tolist(), *table.patient.tolist(), *read.unpredicted}
    names |= {case for values in read.attributes.values() for case in values}
    return names | {case for _, case in read.masks} | {file.name for pair in read.masks.values() for file in pair}


def _with_used_columns(run: RunFolder) -> tuple[RunFolder, tuple[str, ...]]:
    """Return the run with the metrics that the audit compares, and the known ones; a note names the others.

    A table holds record numbers and telephone numbers beside its metrics. Files of tools hold what the tool measured.
    """
    plan = run.lock["endpoints"]
    structures = plan.get("structures")
    if structures is None:
        return run, ()
    named = {plan["primary"], *plan["secondary"], *plan["lower_is_better"], *plan["stated_higher"]}
    named |= {*plan.get("failure_values", ()), *COUNTS, FINDINGS}

    def is_used(name: str) -> bool:
        """Return whether the plan names a metric, or its direction is known."""
        is_named = name in named or any(name == f"{one}_{place}" for one in named for place in structures)
        return is_named or of_case(name, structures).direction_known

    tables = [job.predictions for job in run.jobs if job.predictions is not None]
    aside = list(dict.fromkeys(name for table in tables for name in table.metrics if not is_used(name)))
    if not aside:
        return run, ()
    jobs = tuple(
        job if job.predictions is None else replace(job, predictions=_without(job.predictions, aside))
        for job in run.jobs
    )
    note = (
        f"Outputs leave out the columns {', '.join(aside[:_MOST_LISTED])}{', …' * (len(aside) > _MOST_LISTED)}, which "
        "no endpoint uses, because such columns may name patients; --secondary names the columns to keep."
    )
    return replace(run, jobs=jobs), (note,)


def _without(table: Predictions, aside: Collection[str]) -> Predictions:
    return replace(table, metrics={name: values for name, values in table.metrics.items() if name not in aside})


def _tables(run: RunFolder) -> Iterator[Any]:
    for job in run.jobs:
        if job.predictions is not None:
            yield job.predictions
            if job.predictions.candidates is not None:
                yield job.predictions.candidates


def _job(job: JobRecord, known: Mapping[str, str]) -> JobRecord:
    table = job.predictions
    if table is None:
        return job
    marks = table.candidates
    if marks is not None:
        marks = replace(marks, case=_renamed(marks.case, known), patient=_renamed(marks.patient, known))
    named: Predictions = replace(
        table, case=_renamed(table.case, known), patient=_renamed(table.patient, known), candidates=marks
    )
    return replace(job, predictions=named)


def _renamed(column: NDArray[np.str_], known: Mapping[str, str]) -> NDArray[np.str_]:
    return np.array([known[name] for name in column.tolist()], dtype=np.str_)


def _texts(value: Any, known: Mapping[str, str], kept: Collection[str]) -> Any:
    """Return a value of the results with names replaced in its texts; arms and classes keep theirs."""
    if isinstance(value, str):
        return value if value in kept else known.get(value, without_names(value, known))
    if isinstance(value, Mapping):
        return {key: _texts(one, known, kept) for key, one in value.items()}
    return [_texts(one, known, kept) for one in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class _Pictures(Mapping[str, Plane]):
    """Pictures by pseudonym. back: pseudonym → case."""

    pictures: Mapping[str, Plane]
    back: Mapping[str, str]

    def __getitem__(self, name: str) -> Plane:
        return self.pictures[self.back[name]]

    def __contains__(self, name: object) -> bool:
        return name in self.back and self.back[str(name)] in self.pictures

    def __iter__(self) -> Iterator[str]:
        return (name for name, case in self.back.items() if case in self.pictures)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return bool(self.pictures)


@dataclass(frozen=True)
class _Outlines(Mapping[tuple[str, str], Plane]):
    """Outlines by arm and pseudonym. back: pseudonym → case."""

    outlines: Mapping[tuple[str, str], Plane]
    back: Mapping[str, str]

    def __getitem__(self, key: tuple[str, str]) -> Plane:
        return self.outlines[key[0], self.back[key[1]]]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        names = {case: name for name, case in self.back.items()}
        return ((arm, names[case]) for arm, case in self.outlines if case in names)

    def __len__(self) -> int:
        return len(self.outlines)
