"""Read prediction tables of other tools: long CSV or Parquet files, and tables in memory.

Rows are test cases unless a column `split` assigns another part; those of the validation part choose operating points.
Columns are `arm, seed, fold, case, patient, truth, score_<class>…`, or per-case metric columns in place of truth and
scores. Without a column `seed` or `fold` there is one; a file without the column `arm` is one arm, named after the
file.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.layouts.class_labels import is_missing
from equipoise.errors import PredictionError
from equipoise.evaluation.external.likely_columns import likely, may_be_patients
from equipoise.evaluation.external.part_columns import part_of
from equipoise.evaluation.external.table_file import as_numbers, columns_of, number, table_columns
from equipoise.evaluation.predictions import SCORE, Predictions

_TEXT = ("arm", "case", "patient", "truth", "split")
_PEOPLE = ("case", "patient")
_UNNAMED = ("unknown", "unnamed", "anonymous", "anonymized", "anonymised", "not available", "n.a.")
"""What stands in the place of a name, beside the marks of missing cells."""
_KNOWN = (*_TEXT, "seed", "fold")
_NONE: Mapping[str, NDArray[Any]] = MappingProxyType({})


def read_table(path: Path, *, cases_are_patients: bool = False) -> Predictions:
    """Read the rows of one CSV or Parquet file; PredictionError for any other file."""
    return from_table(table_columns(path)[0], str(path), arm=path.stem, cases_are_patients=cases_are_patients)


def from_table(
    table: Any,
    source: str = "the table",
    *,
    arm: str = "",
    cases_are_patients: bool = False,
    aside: Mapping[str, NDArray[Any]] = _NONE,
    headings: Sequence[str] = (),
) -> Predictions:
    """Convert a pyarrow.Table, a dictionary of columns or a data frame; `source` names it in errors.

    aside: columns of words without a role, of which one may hold the patients. headings: the columns of the file, as it
    calls them, where they have other names here.
    """
    columns = columns_of(table, source)
    n = len(next(iter(columns.values()), ()))
    if not n or any(values.shape != (n,) for values in columns.values()):
        raise PredictionError(f"{source} has no rows, or columns of different lengths; give one row per case and arm")
    if "arm" not in columns and not arm:
        raise PredictionError(
            f"{source} has no column 'arm' (it has {', '.join(columns)}); name the method that made each row, "
            "or say which column holds it (--columns arm=NAME)"
        )
    if "case" not in columns:
        free = [name for name in columns if name not in _KNOWN and not name.startswith(SCORE)]
        likely_one = quote(likely("case", columns, free))
        role = f"{arm}.case" if arm else "case"
        raise PredictionError(
            f"{source} has no column 'case' (it has {', '.join(headings or columns)}); name the case of each row, or "
            f"say which column holds it (--columns {role}={likely_one})"
        )
    if "patient" not in columns and not cases_are_patients:
        raise PredictionError(
            f"{source} has no column 'patient', so cases of one person are not recognised; "
            f"{_of_patients({**columns, **aside}, arm)}give a list of case and patient (--patients FILE), or state "
            "that every case is another patient (--cases-are-patients)"
        )
    names = {key: _names(columns[key], key, source) for key in _TEXT if key in columns}
    names.setdefault("arm", np.full(n, arm))
    names.setdefault("patient", names["case"])
    names["split"] = _splits(names["split"], source) if "split" in names else np.full(n, "test")
    classes = tuple(name.removeprefix(SCORE) for name in columns if name.startswith(SCORE))
    metrics = [name for name in columns if name not in _KNOWN and not name.startswith(SCORE)]
    scores = [_numbers(columns[SCORE + name], SCORE + name, source) for name in classes]
    return Predictions(
        case=names["case"], patient=names["patient"], split=names["split"], arm=names["arm"],
        fold=_whole(columns, "fold", n, source), seed=_whole(columns, "seed", n, source),
        truth=_truth(names.get("truth"), classes, n, source),
        scores=np.stack(scores, axis=1) if scores else np.empty((n, 0)), classes=classes,
        metrics={name: _numbers(columns[name], name, source) for name in metrics},
    )  # fmt: skip


def _of_patients(columns: Mapping[str, NDArray[Any]], arm: str) -> str:
    """Return the proposal of the column that may hold the patients, "" where none looks so, or several do."""
    # Every arm and run repeats the ids of all cases, which would then look like people with several images.
    first = np.ones(len(next(iter(columns.values()))), dtype=bool)
    for key in ("arm", "seed"):
        first &= columns[key] == columns[key][0] if key in columns else True
    own = {name: cells[first] for name, cells in columns.items()}
    free = [name for name in own if name not in _KNOWN and not name.startswith(SCORE) and may_be_patients(own[name])]
    repeated = [name for name in free if len(set(own[name].tolist())) < len(own[name])]
    if not repeated and len(free) > 1:
        return ""
    name = likely("patient", own, repeated or free)
    role = f"{arm}.patient" if arm else "patient"
    return "" if name == "NAME" else f"say which column names them (--columns {role}={quote(name)}), "


def _names(values: NDArray[Any], name: str, source: str) -> NDArray[np.str_]:
    if any(value is None or value == "" or value != value for value in values.tolist()):
        raise PredictionError(f"{source} has an empty cell in column {name!r}; fill it in")
    names: NDArray[np.str_] = values.astype(str)
    if name in _PEOPLE:
        nameless = [one for one in dict.fromkeys(names.tolist()) if is_missing(one) or one.strip().lower() in _UNNAMED]
        if nameless:
            count = int((names == nameless[0]).sum())
            raise PredictionError(
                f"{source} has {count} rows whose {name} is {nameless[0]!r}, which is a placeholder: their cases "
                f"would count as one {name}; give each its name, or remove the rows"
            )
    return names


def _splits(values: NDArray[np.str_], source: str) -> NDArray[np.str_]:
    parts = {value: part_of(value) for value in sorted(set(values.tolist()))}
    unknown = next((value for value, part in parts.items() if part is None), None)
    if unknown is not None:
        raise PredictionError(f"{source} has the split {unknown!r}; write train, validation or test")
    return np.array([parts[value] for value in values.tolist()])


def _numbers(values: NDArray[Any], name: str, source: str) -> NDArray[np.float64]:
    numbers = as_numbers(values)
    if numbers is not None:
        return numbers
    try:
        [number(cell) for cell in values.tolist()]
    except (TypeError, ValueError, OverflowError) as error:
        raise PredictionError(
            f"{source} has a cell in column {name!r} that is not a number ({error}); if it names the arms, say so "
            f"(--columns arm={quote(name)}); else correct it, remove the column, or name it as a subgroup "
            f"(--subgroup {quote(name)})"
        ) from error
    return values.astype(np.float64)


def _whole(columns: Mapping[str, NDArray[Any]], name: str, n: int, source: str) -> NDArray[np.int64]:
    values = _numbers(columns[name], name, source) if name in columns else np.zeros(n)
    if not (np.abs(values) < 1e15).all() or (values != np.floor(values)).any():
        raise PredictionError(f"{source} has a cell in column {name!r} that is not a whole number; number them from 0")
    return values.astype(np.int64)


def _truth(values: NDArray[np.str_] | None, classes: tuple[str, ...], n: int, source: str) -> NDArray[np.int64]:
    if not classes:
        return np.full(n, -1, dtype=np.int64)
    if values is None:
        raise PredictionError(f"{source} has class scores but no column 'truth'; add the true class of each case")
    unknown = sorted(set(values.tolist()) - set(classes))
    if unknown:
        raise PredictionError(f"{source} has the truth {unknown[0]!r} without a column {SCORE}{unknown[0]}; add it")
    index = {name: number for number, name in enumerate(classes)}
    return np.array([index[value] for value in values.tolist()], dtype=np.int64)
