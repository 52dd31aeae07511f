"""Tables with a row per case and structure (`case, organ, dice`): one row per case, a column per structure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.layouts.columns import bare
from equipoise.errors import PredictionError
from equipoise.evaluation.external.reading import Caution, Columns
from equipoise.evaluation.external.summary_rows import heads_summary
from equipoise.evaluation.external.table_file import as_numbers

NAMES = (
    "structure", "structurename", "organ", "region", "roi", "segment", "labelname", "classname", "label", "class",
)  # fmt: skip
_KEYS = ("arm", "seed", "fold", "case")
_KEPT = (*_KEYS, "patient", "split")
_MOST = 200


def column_of_structures(columns: Columns) -> str | None:
    """Return the one column that may name structures, None without one."""
    names = [name for name in columns if bare(name) in NAMES]
    return names[0] if len(names) == 1 else None


def by_structure(columns: Columns, name: str, source: str) -> tuple[Columns, list[str]]:
    """Return `<metric>_<structure>` and `<metric>`, their mean, for each case; else the table itself.

    A case that lacks a structure has no number there, and its mean is over the others; a note counts such cases.
    """
    keys = [columns[key].astype(str).tolist() for key in _KEYS if key in columns]
    if "case" not in columns:
        return columns, []
    rows = list(zip(*keys, strict=True))
    structures = columns[name].astype(str)
    named = structures.tolist()
    if len(set(rows)) == len(rows):
        return columns, []
    twins = [row for row, count in _counts([(*row, one) for row, one in zip(rows, named, strict=True)]) if count > 1]
    if twins:
        raise PredictionError(f"{source} has two rows of case {twins[0][-2]!r} and {name} {twins[0][-1]!r}; keep one")
    listed = sorted(set(named))
    summary = next((one for one in listed if heads_summary(one)), None)
    if summary is not None:
        raise PredictionError(
            f"{source} has rows whose {name} is {summary!r}, as rows have that sum up others, and would count it as a "
            "structure; remove such rows"
        )
    if len(listed) > _MOST:
        raise PredictionError(f"{source} has {len(listed)} values of {name!r}, too many for structures; remove it")
    place = {row: index for index, row in enumerate(dict.fromkeys(rows))}
    index = np.array([place[row] for row in rows])
    first = np.unique(index, return_index=True)[1]
    wide: Columns = {key: columns[key][first] for key in _KEPT if key in columns}
    lost = 0
    for metric in (key for key in columns if key not in (*_KEPT, name)):
        values = as_numbers(columns[metric])
        if values is None:
            raise PredictionError(
                f"{source} has a cell in column {metric!r} that is not a number; correct it, or remove it"
            )
        table = np.full((len(place), len(listed)), np.nan)
        table[index, np.searchsorted(listed, structures)] = values
        lost = max(lost, int(np.isnan(table).sum()))
        wide |= {f"{metric}_{one}": table[:, k] for k, one in enumerate(listed)}
        wide[metric] = mean_over(table)
    notes = [f"The column {name!r} of {source} was read as the structures: {', '.join(listed[:8])}."]
    if lost:
        cells = len(place) * len(listed)
        lacking = f"{lost} of {cells} structures of cases have no value in {source} and are not included in means."
        notes.append(Caution(lacking))
    return wide, notes


def mean_over(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each row over the cells that are numbers, NaN where none is; table: (cases, structures)."""
    known = np.isfinite(table)
    return np.where(known.any(axis=1), np.where(known, table, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)


def _counts(rows: list[tuple[Any, ...]]) -> list[tuple[tuple[Any, ...], int]]:
    counts: dict[tuple[Any, ...], int] = {}
    for row in rows:
        counts[row] = counts.get(row, 0) + 1
    return list(counts.items())
