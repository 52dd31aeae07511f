"""Readings of several files → one prediction table: arms, runs and folds, patients and truths, each said where from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import Stated
from equipoise.evaluation.external.reading import Columns, Reading
from equipoise.evaluation.external.tables import from_table
from equipoise.evaluation.predictions import Predictions, concatenate


@dataclass(frozen=True)
class Part:
    """One reading as the columns of one arm (or of arms in its column `arm`), with the fold that its path names."""

    arm: str
    reading: Reading
    fold: int | None = None


@dataclass(frozen=True)
class Joined:
    """One table of all parts; attributes: subgroup → case → value; notes: how files of one arm were understood."""

    predictions: Predictions
    attributes: dict[str, dict[str, str]]
    notes: list[str]


def join(parts: Sequence[Part], stated: Stated, truth: Mapping[str, str] | None) -> Joined:
    """One table of all parts; `truth` gives the class of cases that have no column `truth`."""
    notes: list[str] = []
    numbered: list[Part] = []
    for arm in dict.fromkeys(part.arm for part in parts):
        made, note = _numbered(arm, _merged([part for part in parts if part.arm == arm]))
        numbered += made
        notes += note
    tables = []
    attributes: dict[str, dict[str, str]] = {}
    for part in numbered:
        said, columns = part.reading.path, part.reading.columns
        columns = columns if stated.patients is None else _with(columns, said, "patient", stated.patients)
        columns = columns if truth is None else _with(columns, said, "truth", truth)
        for name in stated.subgroups:
            _describe(attributes.setdefault(name, {}), name, columns, said)
        own = {name: values for name, values in columns.items() if name not in stated.subgroups}
        tables.append(from_table(own, said, arm=part.arm, cases_are_patients=stated.cases_are_patients))
    tables, note = _same_columns(tables)
    return Joined(concatenate(tables), attributes, [*notes, *note])


def _describe(known: dict[str, str], name: str, columns: Columns, said: str) -> None:
    """Add the values of one attribute by case; refused where a case has two."""
    if name not in columns or "case" not in columns:
        raise PredictionError(f"{said} has no column {name!r} to tell subgroups apart; add it")
    for case, value in zip(columns["case"].astype(str).tolist(), columns[name].tolist(), strict=True):
        words = "" if value is None or value != value else str(value)
        if known.setdefault(case, words) != words:
            raise PredictionError(f"{said} gives case {case!r} the {name} {known[case]!r} and {words!r}; keep one")


def _same_columns(tables: list[Predictions]) -> tuple[list[Predictions], list[str]]:
    """Classes in the order of the first table, and the metrics that all have; what is left out is said."""
    first = tables[0].classes
    ordered = []
    for table in tables:
        if table.classes != first and set(table.classes) == set(first):
            place = [table.classes.index(name) for name in first]
            truth = np.argsort(place)[table.truth]
            table = replace(table, classes=first, scores=table.scores[:, place], truth=truth)
        ordered.append(table)
    shared = [name for name in tables[0].metrics if all(name in table.metrics for table in tables)]
    extra = sorted({name for table in tables for name in table.metrics} - set(shared))
    if not shared or not extra:
        return ordered, []
    kept = [replace(table, metrics={name: table.metrics[name] for name in shared}) for table in ordered]
    return kept, [f"Not every file has {', '.join(extra)}, so they were left aside."]


def _merged(parts: list[Part]) -> list[Part]:
    """Parts that hold other metrics of the same cases become one."""
    merged: list[Part] = []
    for part in parts:
        twin = next((one for one in merged if _completes(one.reading.columns, part.reading.columns)), None)
        if twin is None:
            merged.append(part)
            continue
        order = np.argsort(part.reading.columns["case"])[np.argsort(np.argsort(twin.reading.columns["case"]))]
        more = {name: values[order] for name, values in part.reading.columns.items() if name != "case"}
        both = replace(twin.reading, columns={**twin.reading.columns, **more})
        merged[merged.index(twin)] = replace(twin, reading=both)
    return merged


def _completes(columns: Columns, others: Columns) -> bool:
    shared = columns.keys() & others.keys()
    return shared == {"case"} and sorted(columns["case"].tolist()) == sorted(others["case"].tolist())


def _numbered(arm: str, parts: list[Part]) -> tuple[list[Part], list[str]]:
    """Folds where no case is in two parts, else training runs, numbered in the order given."""
    if len(parts) < 2 or any({"seed", "fold", "arm"} & part.reading.columns.keys() for part in parts):
        return parts, []
    cases = [case for part in parts for case in set(part.reading.columns["case"].tolist())]
    apart = len(set(cases)) == len(cases)
    column, word = ("fold", "folds") if apart else ("seed", "training runs")
    numbers = [part.fold if apart and part.fold is not None else index for index, part in enumerate(parts)]
    if len(set(numbers)) < len(numbers):
        numbers = list(range(len(parts)))
    out = []
    for part, number in zip(parts, numbers, strict=True):
        n = len(part.reading.columns["case"])
        columns = {**part.reading.columns, column: np.full(n, number)}
        out.append(replace(part, reading=replace(part.reading, columns=columns)))
    return out, [f"The {len(parts)} files of {arm} were read as {len(parts)} {word} of it."]


def _with(columns: Columns, said: str, column: str, values: Mapping[str, str]) -> Columns:
    """The columns with one more, looked up by case."""
    if column in columns or "case" not in columns:  # without cases, from_table refuses by name
        return columns
    cases = columns["case"].astype(str).tolist()
    unknown = [case for case in cases if case not in values]
    if unknown:
        raise PredictionError(
            f"{len(unknown)} cases of {said} have no {column} in the list given, first {unknown[0]!r}; add them"
        )
    return {**columns, column: np.array([values[case] for case in cases])}
