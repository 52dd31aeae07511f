"""Read a detector's tables as LUNA16 has them: candidates with places and scores, and the true findings.

Both hold the case (`seriesuid`), coordinates in mm (`coordX, coordY, coordZ`) and, candidates a `probability`,
findings a `diameter_mm`; a column `relevant` of 0 marks a finding that is neither to be found nor a false positive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.layouts.columns import bare
from equipoise.errors import PredictionError
from equipoise.evaluation.candidate_table import FINDINGS
from equipoise.evaluation.detection import Findings, match
from equipoise.evaluation.external.reading import AXES, Columns, Reading, has_places
from equipoise.evaluation.external.roles import with_roles
from equipoise.evaluation.external.table_file import SUFFIXES, as_numbers, table_columns

KIND = "candidates of a detector (CSV)"
_SCORES = ("probability", "score", "prob", "confidence")
_FARTHEST_MM = 1e6
_DIAMETERS = ("diametermm", "diameter")


@dataclass(frozen=True)
class Candidates:
    """Candidates of one reading as rows (k,), places in array order; see `CandidateTable` for the columns."""

    case: NDArray[np.str_]
    candidate: NDArray[np.int64]
    place_mm: NDArray[np.float64]
    score: NDArray[np.float64]
    finding: NDArray[np.int64]
    irrelevant: NDArray[np.bool_]


def true_findings(path: Path | None) -> dict[str, Findings] | None:
    """Read the findings of every case from a table with places; None for a truth of another kind."""
    if path is None or path.suffix.lower() not in SUFFIXES:
        return None
    columns, _ = table_columns(path)
    if not has_places(columns):
        return None
    columns, _ = with_roles(columns, str(path), {})
    case, place = _cases(columns, str(path)), _places(columns, str(path))
    diameter = _column(columns, _DIAMETERS, str(path))
    _refuse_twice(case, place, f"{path} has a finding of")
    relevant = columns.get("relevant")
    counts = np.ones(len(case)) if relevant is None else as_numbers(relevant)
    if counts is None or not np.isin(counts, (0.0, 1.0)).all():
        raise PredictionError(f"{path} has a cell in column 'relevant' that is not 0 or 1; correct it")
    return {
        name: Findings(place[case == name], diameter[case == name], counts[case == name] == 1)
        for name in dict.fromkeys(case.tolist())
    }


def _refuse_twice(case: NDArray[np.str_], numbers: NDArray[np.float64], what: str) -> None:
    """Refuse equal rows: a candidate that stands twice is two false positives, a finding two to be found."""
    number = np.unique(case, return_inverse=True)[1]
    rows, first, times = np.unique(np.column_stack([number, numbers]), axis=0, return_index=True, return_counts=True)
    if len(rows) == len(case):
        return
    most = times.argmax()
    place = ", ".join(f"{one:g}" for one in numbers[first[most]])
    raise PredictionError(f"{what} {str(case[first[most]])!r} {times[most]} times ({place}); keep it once")


def matched(
    readings: Sequence[Reading], findings: Mapping[str, Findings] | None, patients: Mapping[str, str] | None
) -> tuple[list[Reading], list[str]]:
    """Match the candidates of every reading with the true findings, over one list of cases for all.

    patients: case → patient, the list of all scans; without it the scans are those with a finding or a candidate.
    """
    if findings is None:
        raise PredictionError(
            f"{readings[0].path} holds the candidates of a detector; give the true findings (--truth, a CSV of "
            "seriesuid, coordX, coordY, coordZ, diameter_mm)"
        )
    tested = {str(name) for reading in readings for name in _cases(reading.columns, reading.path).tolist()}
    known = set(patients or ())
    foreign = sorted((tested | set(findings)) - known)
    if patients and foreign:
        raise PredictionError(f"the scan {foreign[0]!r} ({len(foreign)} in all) is not in the list of patients; add it")
    cases = np.array(sorted(known or tested | set(findings)))
    unknown = (
        f"The {len(cases)} scans are those with a finding or a candidate: scans without either are not known, "
        "and would lower the false positives per scan; list all with --patients."
    )
    notes = [] if patients else [unknown]
    return [_matched(reading, findings, cases) for reading in readings], notes


def by_arm(reading: Reading) -> list[tuple[str | None, Reading]]:
    """Split a table of candidates by its column of arms; one reading without a name where it has none."""
    if "arm" not in reading.columns:
        return [(None, reading)]
    arms = reading.columns["arm"].astype(str)
    columns = {name: values for name, values in reading.columns.items() if name != "arm"}
    return [
        (arm, replace(reading, columns={name: values[arms == arm] for name, values in columns.items()}))
        for arm in dict.fromkeys(arms.tolist())
    ]


def _matched(reading: Reading, findings: Mapping[str, Findings], cases: NDArray[np.str_]) -> Reading:
    path = reading.path
    case, place, score = _cases(reading.columns, path), _places(reading.columns, path), None
    score = _column(reading.columns, _SCORES, path)
    if not np.isfinite(score).all():
        raise PredictionError(
            f"{path} has a candidate of {str(case[~np.isfinite(score)][0])!r} without a score; correct it"
        )
    _refuse_twice(case, np.column_stack([place, score]), f"{path} has a candidate of")
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in Candidates.__dataclass_fields__}
    axes = place.shape[1]
    none = Findings(np.empty((0, axes)), np.empty(0), np.empty(0, dtype=bool))
    for name in dict.fromkeys(case.tolist()):
        own = np.flatnonzero(case == name)
        truth = findings.get(name, none)
        if truth.centre_mm.shape[1] != axes:
            raise PredictionError(
                f"{path} has {axes} coordinates and the findings have {truth.centre_mm.shape[1]}; give the same "
                "coordinates in both"
            )
        matches = match(place[own], truth)
        chosen = own[matches.candidate]
        for column, values in zip(
            rows,
            (case[chosen], matches.candidate, place[chosen], score[chosen], matches.finding, matches.irrelevant),
            strict=True,
        ):
            rows[column].append(values)
    joined = {name: np.concatenate(parts) for name, parts in rows.items()}
    counts = [int(findings[name].relevant.sum()) if name in findings else 0 for name in cases.tolist()]
    columns: Columns = {"case": cases, FINDINGS: np.array(counts, dtype=float)}
    return replace(reading, kind=KIND, columns=columns, candidates=Candidates(**joined))


def _cases(columns: Columns, path: str) -> NDArray[np.str_]:
    if "case" not in columns or not len(columns["case"]):
        listed = ", ".join(columns)
        raise PredictionError(f"{path} names no scans (it has {listed}); say which column does (--columns case=NAME)")
    return columns["case"].astype(str)


def _places(columns: Columns, path: str) -> NDArray[np.float64]:
    names = [next((name for name in columns if bare(name) in axis), None) for axis in AXES]
    places = [as_numbers(columns[name]) for name in names if name is not None]
    known = [values for values in places if values is not None and (np.abs(values) < _FARTHEST_MM).all()]
    if len(known) < len(places):
        raise PredictionError(f"{path} has a coordinate that is not a position in mm; correct it")
    return np.stack(known, axis=1)


def _column(columns: Columns, names: Sequence[str], path: str) -> NDArray[np.float64]:
    fitting = [name for name in columns if bare(name) in names]
    numbers = as_numbers(columns[fitting[0]]) if len(fitting) == 1 else None
    if numbers is None:
        listed = ", ".join(columns)
        raise PredictionError(
            f"{path} needs exactly one column {names[0]!r} of numbers (it has {listed}); add or remove columns"
        )
    return numbers
