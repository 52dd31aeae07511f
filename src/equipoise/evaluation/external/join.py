"""Join the readings of several files in one prediction table with arms, runs, folds, patients and truths."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.candidate_table import CandidateTable
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.case_folders import with_folders
from equipoise.evaluation.external.detections import Candidates
from equipoise.evaluation.external.likeness import refuse_unlisted
from equipoise.evaluation.external.lists import PATIENTS
from equipoise.evaluation.external.reading import Columns, Reading
from equipoise.evaluation.external.tables import from_table
from equipoise.evaluation.external.unlike_tables import one_coding, refuse_unlike
from equipoise.evaluation.predictions import Predictions, concatenate


@dataclass(frozen=True)
class Part:
    """One reading: the columns of one arm (or of the arms in its column `arm`), and the fold that its path names."""

    arm: str
    reading: Reading
    fold: int | None = None


@dataclass(frozen=True)
class Joined:
    """One table of all parts; attributes: subgroup → case → value; notes: how several files of one arm were read."""

    predictions: Predictions
    attributes: dict[str, dict[str, str]]
    notes: list[str]


def join(parts: Sequence[Part], options: AuditOptions, truth: Mapping[str, str] | None) -> Joined:
    """Join all parts in one table; `truth` gives the class of each case where a part has no column `truth`."""
    notes: list[str] = []
    numbered: list[Part] = []
    for arm in dict.fromkeys(part.arm for part in parts):
        numbered_parts, note = _numbered(arm, _merged([part for part in parts if part.arm == arm]))
        numbered += numbered_parts
        notes += note
    tables = []
    attributes: dict[str, dict[str, str]] = {}
    listed = " ".join(["the list of patients", *(one.path for one in options.lists if one.kind == PATIENTS)])
    for part in numbered:
        path, columns = part.reading.path, part.reading.columns
        columns = columns if options.patients is None else _with(columns, path, "patient", options.patients, listed)
        columns = columns if truth is None else _with(columns, path, "truth", truth, f"the reference {options.truth}")
        for name in options.subgroups:
            _describe(attributes.setdefault(name, {}), name, columns, path)
        own = {name: values for name, values in columns.items() if name not in options.subgroups}
        headings = [part.reading.used.get(name, name) for name in (*part.reading.columns, *part.reading.aside)]
        table = from_table(
            own, path, arm=part.arm, cases_are_patients=options.cases_are_patients, aside=part.reading.aside,
            headings=headings,
        )  # fmt: skip
        tables.append(_with_candidates(table, part.reading.candidates))
    tables, note = _same_columns(tables, {one for part in parts for one in part.reading.structures})
    predictions = concatenate(tables)
    if options.cases_are_patients and not any("patient" in part.reading.columns for part in parts):
        predictions = with_folders(predictions, [part.reading.folders for part in parts])
    return Joined(predictions, attributes, [*notes, *note])


def _with_candidates(table: Predictions, candidates: Candidates | None) -> Predictions:
    """Add a detector's candidates to the cases of one arm and run."""
    if candidates is None:
        return table
    patient = dict(zip(table.case.tolist(), table.patient.tolist(), strict=True))
    n = len(candidates.case)
    own = CandidateTable(
        case=candidates.case, patient=np.array([patient[case] for case in candidates.case.tolist()], dtype=str),
        split=np.full(n, "test"), arm=np.full(n, table.arm[0]), fold=np.full(n, table.fold[0]),
        seed=np.full(n, table.seed[0]), candidate=candidates.candidate, place_mm=candidates.place_mm,
        score=candidates.score, finding=candidates.finding, irrelevant=candidates.irrelevant,
    )  # fmt: skip
    return replace(table, candidates=own)


def _describe(known: dict[str, str], name: str, columns: Columns, path: str) -> None:
    """Add the values of one attribute by case; refuse a case with two values."""
    if name not in columns or "case" not in columns:
        raise PredictionError(f"{path} has no column {name!r} to tell subgroups apart; add it")
    for case, value in zip(columns["case"].astype(str).tolist(), columns[name].tolist(), strict=True):
        # NaN, the only value unequal to itself, is how a table marks an empty number: it is an empty word here.
        text = "" if value is None or value != value else str(value)
        if known.setdefault(case, text) != text:
            raise PredictionError(
                f"{path} gives case {case!r} the {name} {known[case]!r} and {text!r}; keep one, or, if {name} "
                f"names the arms, say so (--columns arm={name})"
            )


def _same_columns(tables: list[Predictions], structures: Collection[str]) -> tuple[list[Predictions], list[str]]:
    """Bring classes to the order of the first table and keep the metrics that all tables have; notes name the rest.

    A mean over other structures than another table's mean is another quantity under the same name: it is not kept.
    """
    tables, notes = one_coding(tables)
    first = tables[0].classes
    ordered = []
    for table in tables:
        if table.classes != first and set(table.classes) == set(first):
            place = [table.classes.index(name) for name in first]
            # The inverse permutation: `place` leads from the new index to the old one, labels need the other way.
            truth = np.argsort(place)[table.truth]
            table = replace(table, classes=first, scores=table.scores[:, place], truth=truth)
        ordered.append(table)
    shared = [name for name in tables[0].metrics if all(name in table.metrics for table in tables)]
    extra = sorted({name for table in tables for name in table.metrics} - set(shared))
    if not extra or not (shared or all(table.classes for table in tables)):
        refuse_unlike(ordered)
        return ordered, notes
    means = [
        name for name in shared if any(f"{name}_{one}" in extra for one in structures) or _unlike_means(tables, name)
    ]
    shared = [name for name in shared if name not in means]
    if means and not shared:
        raise PredictionError(
            f"the files judge other structures: not every one has {', '.join(extra[:6])}, and their mean {means[0]} "
            "is over those that each has; evaluate all arms on the same structures, or give them the same names "
            "(--regions)"
        )
    kept = [replace(table, metrics={name: table.metrics[name] for name in shared}) for table in ordered]
    notes.append(f"Not every file has {', '.join(extra)}, so they were not used.")
    if means:
        notes.append(f"The means {', '.join(means)} are over other structures in some files, so they were not used.")
    refuse_unlike(kept)
    return kept, notes


def _unlike_means(tables: Sequence[Predictions], name: str) -> bool:
    """Whether a metric is the mean of its `name_…` columns in some tables, and these columns are not the same."""
    parts = set()
    for table in tables:
        own = sorted(one for one in table.metrics if one.startswith(f"{name}_"))
        values = np.array([table.metrics[one] for one in own])
        if own and np.allclose(values.mean(axis=0), table.metrics[name], rtol=0, atol=1e-3):
            parts.add(tuple(own))
    return len(parts) > 1


def _merged(parts: list[Part]) -> list[Part]:
    """Merge parts that hold different metrics of the same cases."""
    merged: list[Part] = []
    for part in parts:
        twin = next(
            (part_before for part_before in merged if _completes(part_before.reading.columns, part.reading.columns)),
            None,
        )
        if twin is None:
            merged.append(part)
            continue
        # Two sorts align the cases whatever the order in either file: ranks of the twin index the sorted part.
        order = np.argsort(part.reading.columns["case"])[np.argsort(np.argsort(twin.reading.columns["case"]))]
        more = {name: values[order] for name, values in part.reading.columns.items() if name != "case"}
        both = replace(twin.reading, columns={**twin.reading.columns, **more})
        merged[merged.index(twin)] = replace(twin, reading=both)
    return merged


def _completes(columns: Columns, others: Columns) -> bool:
    shared = columns.keys() & others.keys()
    return shared == {"case"} and sorted(columns["case"].tolist()) == sorted(others["case"].tolist())


def _numbered(arm: str, parts: list[Part]) -> tuple[list[Part], list[str]]:
    """Number the parts of an arm in their order: as folds if no case is in two parts, else as training runs.

    Raises PredictionError for parts that are neither: some of their cases, not all, are in two of them.
    """
    if len(parts) < 2 or any({"seed", "fold", "arm"} & part.reading.columns.keys() for part in parts):
        return parts, []
    owned = [set(part.reading.columns["case"].tolist()) for part in parts if "case" in part.reading.columns]
    if len(owned) < len(parts):
        return parts, []
    apart = len(set().union(*owned)) == sum(map(len, owned))
    folds = [part.fold for part in parts]
    if not apart:
        _refuse_overlap(arm, parts, owned, all(fold is not None for fold in folds) and len(set(folds)) == len(folds))
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


def _refuse_overlap(arm: str, parts: list[Part], owned: list[set[str]], are_folds: bool) -> None:
    """Refuse parts that share some of their cases: folds with a case in two of them, or unlike runs."""
    shared, first, second = max(
        ((len(owned[i] & owned[j]) / min(len(owned[i]), len(owned[j])), i, j)
         for j in range(len(parts)) for i in range(j)),
        key=lambda entry: entry[0],
    )  # fmt: skip
    # Runs on one test set share nearly all cases, and a run that lacks a few is judged, or not, by name later.
    if shared == 1 if are_folds else shared > 0.5:
        return
    pairs = [(i, j) for j in range(len(parts)) for i in range(j) if owned[i] & owned[j]]
    first, second = pairs[0]
    both = sorted(owned[first] & owned[second])
    names = [f"fold {parts[k].fold}" if are_folds else parts[k].reading.path for k in (first, second)]
    more = f" (and {len(both) - 1} more)" if len(both) > 1 else ""
    raise PredictionError(
        f"case {both[0]!r}{more} is in {names[0]} and in {names[1]} of arm {arm!r}, whose other cases differ; in folds "
        "each case is tested once, in training runs every time: remove it from one, or give the same cases"
    )


def _with(columns: Columns, path: str, column: str, values: Mapping[str, str], where: str) -> Columns:
    """Add a column whose values are looked up by case; `where`: in which list, in words."""
    if column in columns or "case" not in columns:  # without cases, from_table refuses by name
        return columns
    cases = columns["case"].astype(str).tolist()
    refuse_unlisted(cases, values, path, where)
    return {**columns, column: np.array([values[case] for case in cases])}
