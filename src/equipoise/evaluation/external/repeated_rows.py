"""Rows that stand twice in a table: equal ones count once, and different ones of one case are asked about by number."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.external.reading import Columns, Repeated
from equipoise.evaluation.external.table_file import as_numbers

_KEYS = ("arm", "seed", "fold", "split")
_OF_ARMS = 0.5
"""Share of cases with several rows above which a table may hold several arms or runs, and not some faulty rows."""


def without_repeats(
    columns: Columns, roles: Mapping[str, str], rows: NDArray[np.int64], source: str
) -> tuple[Columns, NDArray[np.int64], list[str]]:
    """Leave out rows that are equal to an earlier one in every column, and return what is left, with its row numbers.

    roles: column → role. rows: the number of each row in its file. Without cases, nothing is left out: equal rows may
    be different cases.
    """
    named = {role: name for name, role in roles.items()}
    if "case" not in named and not ("patient" in named and _telling(columns, roles)):
        return columns, rows, []
    first: dict[tuple[str, ...], int] = {}
    cells = list(zip(*(values.astype(str).tolist() for values in columns.values()), strict=True))
    kept = np.array([first.setdefault(row, index) == index for index, row in enumerate(cells)], dtype=bool)
    if kept.all():
        return columns, rows, []
    again = np.flatnonzero(~kept)
    one, other = rows[again[0]], rows[first[cells[again[0]]]]
    note = f"Row {one} of {source} repeats row {other} in every column and was left out."
    if len(again) > 1:
        note = (
            f"{len(again)} rows of {source} repeat another row in every column (row {one} that of row {other}) and "
            "were left out."
        )
    return {name: values[kept] for name, values in columns.items()}, rows[kept], [Repeated(note, len(again))]


def refuse_conflicts(columns: Columns, rows: NDArray[np.int64], source: str) -> None:
    """Raise PredictionError where some cases (or patients, of whom no cases are known) have several rows that differ.

    columns: by role, of the length of `rows`.
    """
    unit = next((role for role in ("case", "patient") if role in columns), None)
    if unit is None:
        return
    keyed = (*_KEYS, unit)
    keys = list(zip(*(map(_text, columns[name].tolist()) for name in keyed if name in columns), strict=True))
    owned: dict[tuple[str, ...], list[int]] = {}
    for index, key in enumerate(keys):
        owned.setdefault(key, []).append(index)
    several = [places for places in owned.values() if len(places) > 1]
    if not several or len(several) > _OF_ARMS * len(owned):
        return
    one, other = several[0][:2]
    differs = [name for name, cells in columns.items() if _text(cells[one]) != _text(cells[other])]
    shown = ", ".join(
        f"{name} {_text(columns[name][one])!r} and {_text(columns[name][other])!r}" for name in differs[:3]
    )
    more = [_text(columns[unit][places[0]]) for places in several[1:4]]
    also = f"; so do {len(several) - 1} more, as {', '.join(map(repr, more))}" if more else ""
    cases = "" if unit == "case" else ", or name the column of cases (--columns case=NAME)"
    how = f"differ ({shown})" if shown else "are equal"
    raise PredictionError(
        f"{source} has the {unit} {_text(columns[unit][one])!r} in the rows {rows[one]} and {rows[other]}, which {how}"
        f"{also}; keep one row of each {unit}{cases}"
    )


def _telling(columns: Columns, roles: Mapping[str, str]) -> bool:
    """Whether some column has so many numbers that two different images would hardly have all cells in common."""
    free = [as_numbers(values) for name, values in columns.items() if name not in roles]
    return any(one is not None and len(np.unique(one[np.isfinite(one)])) > 0.5 * len(one) for one in free)


def _text(cell: Any) -> str:
    return "" if cell is None or cell != cell else str(cell).strip()
