"""Files beside the predictions: the reference, the list of patients, the training list; with what identifies each."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from types import MappingProxyType

from equipoise.cohorts.formats.checksums import sha256
from equipoise.errors import PredictionError
from equipoise.evaluation.external.likely_columns import likely
from equipoise.evaluation.external.part_columns import listed_parts
from equipoise.evaluation.external.roles import with_roles
from equipoise.evaluation.external.table_file import Columns, TableFile, table_file

REFERENCE, PATIENTS, TRAINING = "reference", "list of patients", "training list"
SCOPES = {REFERENCE: "truth", PATIENTS: "patients", TRAINING: "training"}
"""By which name the caller states the columns of each: `--columns truth.case=ID`."""
FINDINGS, MASKS, MEDMNIST = "true findings", "folder of true masks", "MedMNIST data set"

By = Mapping[str, tuple[str, ...]]
_NONE: By = MappingProxyType({})


@dataclass(frozen=True)
class ListFile:
    """A file beside the predictions. kind: in words. columns: role → column. notes: how columns were read.

    sha256: of the file, or over the hashes of a folder's files that were read. values: of a list, key → value.
    names: of a training list, "case" and "patient" → those that it names. others: the column of parts, where it has
    one, and key → the part of what is not of the test part. beside: of a reference, its further columns, each key →
    cell; patient: which of them has the heading of patients, "" where none has.
    """

    path: str
    kind: str
    cases: int
    sha256: str
    columns: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    others: tuple[str, Mapping[str, str]] = ("", MappingProxyType({}))
    beside: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    patient: str = ""

    def record(self) -> dict[str, object]:
        """Return what results.json says of the file."""
        return {
            "path": self.path, "kind": self.kind, "cases": self.cases, "sha256": self.sha256,
            "columns": dict(self.columns),
        }  # fmt: skip


def read_list(
    path: Path, key: str, value: str, kind: str, by_role: By = _NONE, *, without_empty: bool = False
) -> ListFile:
    """Read key → value of two roles from a table (CSV, Excel, Parquet); refuse a key with two values.

    by_role: role → columns as the caller states them, for this list alone or for all files. without_empty: rows with a
    key and no value are not read; else they are refused, as rows without a key are.
    """
    table, columns, notes, used = _with_roles(path, (key, value), kind, by_role)
    for role in (key, value):
        if role not in columns:
            free = [name for name in table.columns if name not in used.values()]
            likely_one = quote(likely(role, table.columns, free))
            raise PredictionError(
                f"the {kind} {path} has no column that is known as the {role} (it has {', '.join(table.columns)}); say "
                f"which one is (--columns {SCOPES.get(kind, kind)}.{role}={likely_one})"
            )
    if not len(columns[key]):
        raise PredictionError(f"the {kind} {path} has a header and no rows; save it again")
    values: dict[str, str] = {}
    first: dict[str, int] = {}
    pairs = list(zip(columns[key].astype(str).tolist(), columns[value].astype(str).tolist(), strict=True))
    for number, (name, cell) in zip(table.rows.tolist(), pairs, strict=True):
        if name and not cell and without_empty:
            continue
        if not name or not cell:
            empty, full = (value, f" of case {name!r}") if name else (key, "")
            count = sum(not all(pair) for pair in pairs)
            more = f" ({count} such rows)" if count > 1 else ""
            raise PredictionError(
                f"the {kind} {path} has an empty cell in column {used[empty]!r}, row {number}{full}{more}; fill it in, "
                f"or {'leave such cases out (--common-cases)' if name and kind == REFERENCE else 'remove the row'}"
            )
        if values.setdefault(name, cell) != cell:
            raise PredictionError(
                f"the {kind} {path} gives case {name!r} the {value} {values[name]!r} in row {first[name]} and {cell!r} "
                f"in row {number}; keep one"
            )
        first.setdefault(name, number)
    roles = {role: used[role] for role in (key, value)}
    others = listed_parts(columns, key, used.keys(), str(path))
    beside = _beside(table, columns, used, key) if kind == REFERENCE else {}
    return ListFile(
        str(path), kind, len(values), table.sha256, roles, (*table.notes, *notes), values, others=others,
        beside=beside, patient=used.get("patient", ""),
    )  # fmt: skip


def _beside(table: TableFile, columns: Columns, used: Mapping[str, str], key: str) -> dict[str, dict[str, str]]:
    """Return the columns that the list is not read for: name → key → cell, where a whole number has no point."""
    keys = columns[key].astype(str).tolist()
    read = {used[role] for role in used if role != "patient"}
    cells = {name: ["" if one is None or one != one else str(one) for one in values.tolist()]
             for name, values in table.columns.items() if name not in read}  # fmt: skip
    same = {name: own for name, own in cells.items() if len(own) == len(keys)}
    return {
        name: {k: one.strip().removesuffix(".0") for k, one in zip(keys, own, strict=True)}
        for name, own in same.items()
    }


def _with_roles(
    path: Path, roles: tuple[str, str], kind: str, columns: By
) -> tuple[TableFile, Columns, list[str], dict[str, str]]:
    """Return a list as it was read, its columns by role, notes, and role → column."""
    scope, used = SCOPES.get(kind, ""), dict[str, str]()
    table = table_file(path, next(iter(columns.get(f"{scope}.sheet", ())), None))
    by_role = columns_of_list(columns, scope, table.columns)
    by_role = {role: names for role, names in by_role.items() if role in roles}
    renamed, notes = with_roles(table.columns, str(path), by_role, listed=roles, used=used)
    return table, renamed, notes, used


def columns_of_list(columns: By, scope: str, present: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return role → columns for a file beside the predictions, whose columns are `present`.

    What is stated for all files holds where the file has such a column: the predictions may be meant.

    >>> columns_of_list({"case": ("ID",), "truth": ("Dx",), "truth.case": ("No",)}, "truth", ["No", "Dx"])
    {'truth': ('Dx',), 'case': ('No',)}
    """
    own = {role.rpartition(".")[2]: names for role, names in columns.items() if role.rpartition(".")[0] == scope}
    general = {role: names for role, names in columns.items() if "." not in role and set(names) <= set(present)}
    return {**general, **own}


def read_column(path: Path, key: str, value: str, description: str) -> dict[str, str]:
    """Read key → value of two roles from a table, as `read_list` does."""
    return dict(read_list(path, key, value, description).values)


def training_list(path: Path, by_role: By = _NONE) -> ListFile:
    """Read the cases and patients that some arm was trained on, from a table with a column of either."""
    table, columns, notes, used = _with_roles(path, ("case", "patient"), TRAINING, by_role)
    given: dict[str, list[object]] = {role: columns[role].tolist() for role in ("case", "patient") if role in columns}
    rows = max(map(len, given.values()), default=0)
    if not rows:
        raise PredictionError(f"the {TRAINING} {path} has no row with a column 'case' or 'patient'; add one")
    names = {role: frozenset(str(one) for one in cells if one) for role, cells in given.items()}
    return ListFile(
        str(path), TRAINING, rows, table.sha256, {role: used[role] for role in names}, tuple(notes), names=names
    )


def whole_file(path: Path, kind: str, cases: int) -> ListFile:
    """Describe a file whose columns have fixed names, or that has none."""
    return ListFile(str(path), kind, cases, sha256(path))
