"""Read a table as people keep them: CSV with any usual separator and encoding, Parquet, one sheet of an Excel file.

Cells of text files stay text, because ids such as 007 are names: read as numbers, they would lose their zeros.
Decimal commas become points where that is certain (`cohorts.layouts.tables`).
"""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equipoise.cohorts.formats.checksums import check_size, read_bytes, sha256
from equipoise.cohorts.formats.limits import MIB, Limits
from equipoise.cohorts.layouts.tables import NO_NUMBER, decoded, with_points
from equipoise.errors import PredictionError
from equipoise.evaluation.external.header_row import refuse_titles

TEXT = (".csv", ".tsv")
EXCEL = (".xlsx", ".xlsm")
SUFFIXES = (*TEXT, ".parquet", *EXCEL)
MISSING = NO_NUMBER
"""Words, in small letters, by which tables mark a missing number."""
_SEPARATORS = (",", ";", "\t", "|")
_LIMITS = Limits(file_bytes=512 * MIB)
_LOOKED_AT = 50
_LARGEST_WORKBOOK = 512 * MIB
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class TableFile:
    """A table as it was read: columns by name, the file's SHA-256, and notes on rows that were left out.

    rows: the number of each row in the file, (rows,), counted from 1 with the header.
    """

    columns: Columns
    sha256: str
    rows: NDArray[np.int64]
    notes: tuple[str, ...] = ()


def table_columns(path: Path, sheet: str | None = None) -> tuple[Columns, str]:
    """Read the columns of a table by name, and the file's SHA-256, as `table_file` does."""
    table = table_file(path, sheet)
    return table.columns, table.sha256


def table_file(path: Path, sheet: str | None = None) -> TableFile:
    """Read a table; rows without any value are left out, with a note.

    sheet: of an Excel file with several. Raises PredictionError or RefusedFile, in one sentence.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        columns = _parquet(path)
        return TableFile(columns, sha256(path), np.arange(len(next(iter(columns.values()), ()))) + 2)
    if suffix in EXCEL:
        return _workbook(path, sheet)
    if suffix in TEXT:
        return _text(path)
    raise PredictionError(
        f"{path} is not a table that can be read ({', '.join(SUFFIXES)}); save the predictions as one of them"
    )


def columns_of(table: Any, source: str) -> Columns:
    """Return the columns of a pyarrow.Table, a dictionary of columns or a data frame."""
    # Data frames are recognised by an attribute and not by their class, because pandas is not a dependency.
    if isinstance(table, pa.Table):
        _refuse_twins(table.column_names, source)
        return {name: np.asarray(table[name].to_numpy(zero_copy_only=False)) for name in table.column_names}
    if isinstance(table, Mapping) or hasattr(table, "columns"):
        keys = list(table.keys() if isinstance(table, Mapping) else table.columns)
        _refuse_twins([str(key) for key in keys], source)
        return {str(key): np.asarray(table[key]) for key in keys}
    raise PredictionError(f"{source} is a {type(table).__name__}; give a file, a dictionary of columns or a data frame")


def text_rows(path: Path) -> tuple[list[list[str]], str]:
    """Read the rows of a text table that are not empty, cells without spaces around them, and its SHA-256."""
    text, separator, digest = _decoded_text(path)
    try:
        rows = [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        ]
    except csv.Error as error:
        raise PredictionError(f"{path} is not a readable CSV file ({error}); save it again") from error
    rows = [row for row in rows if any(row)]
    if not rows:
        raise PredictionError(f"{path} has no row; save it again")
    return rows, digest


def as_numbers(values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return a column as numbers, NaN where a cell is missing; None where a cell is another word.

    >>> as_numbers(np.array(["0.5", "NA", "2"], dtype=object)).tolist(), as_numbers(np.array(["a"]))
    ([0.5, nan, 2.0], None)
    """
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    try:
        return np.array([number(cell) for cell in values.tolist()], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None


def hundredths(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return percentages as shares: 4.4 as 0.044 and not as 0.044000000000000004, which no table held.

    >>> hundredths(np.array([4.4, 87.25, np.nan])).tolist()
    [0.044, 0.8725, nan]
    """
    # Only where that keeps all decimals: rounding could make equal what a program told apart.
    known = values[np.isfinite(values)]
    return np.round(values / 100, 12) if np.array_equal(np.round(known, 10), known) else values / 100


def number(cell: Any) -> float:
    """Convert one cell; NaN where it is missing, ValueError or TypeError where it is no number."""
    if cell is None:
        return float("nan")
    if not isinstance(cell, str):
        return float(cell)
    if cell.strip().lower() in MISSING:
        return float("nan")
    if "_" in cell:  # Python alone reads 1_000 as a number
        raise ValueError(f"could not convert string to float: {cell!r}")
    return float(cell)


def _decoded_text(path: Path) -> tuple[str, str, str]:
    """Return the text of a file, its separator and its SHA-256."""
    raw, digest = read_bytes(path, _LIMITS)
    text = decoded(raw, path).lstrip("\r\n")
    first, _, rest = text.partition("\n")
    # Tools that write tables for Excel put "sep=;" into the first line, which is no header.
    if first.strip().lower().startswith("sep=") and len(first.strip()) == len("sep=") + 1:
        return rest, first.strip()[-1], digest
    return text, _separator(text), digest


def _separator(text: str) -> str:
    """Return the separator by which the first lines have the most columns, of those that give all one length."""
    head = text.split("\n", _LOOKED_AT)[:_LOOKED_AT]
    readings = []
    for separator in _SEPARATORS:
        if separator not in head[0]:
            continue
        try:
            lengths = [len(row) for row in csv.reader(head, delimiter=separator) if any(cell.strip() for cell in row)]
        except csv.Error:
            continue
        readings.append((len(set(lengths)) == 1, lengths[0] if lengths else 0, separator))
    return max(readings, key=lambda reading: reading[:2])[2] if readings else ","


def _text(path: Path) -> TableFile:
    text, separator, digest = _decoded_text(path)
    _refuse_titles(path, text, separator)
    try:
        names = [
            " ".join(name.split()) for name in next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        ]
        _refuse_twins(names, str(path))
        table = pyarrow.csv.read_csv(
            io.BytesIO(text.encode()),
            # One thread: others may still run when a refusal ends the process, which then aborts.
            read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=1, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise PredictionError(
            f"{path} is not a readable table ({' '.join(str(error).split())}); save the predictions again"
        ) from error
    columns = {}
    for name in names:
        # One line, because ids stand in sentences.
        cells = [" ".join(cell.split()) if "\n" in cell else cell.strip() for cell in table[name].to_pylist()]
        columns[name] = np.array(cells, dtype=object)
    filled = np.array([any(row) for row in zip(*columns.values(), strict=True)], dtype=bool)
    rows = _row_numbers(path, text, separator, len(filled))
    notes = _empty_rows(rows[~filled], path)
    kept = {name: np.array(with_points(cells[filled].tolist()), dtype=object) for name, cells in columns.items()}
    return TableFile(kept, digest, rows[filled], notes)


def _refuse_titles(path: Path, text: str, separator: str) -> None:
    head = text.split("\n", _LOOKED_AT)[:_LOOKED_AT]
    # A title without any separator does not tell which one the table below it has.
    used = [separator] if any(one in head[0] for one in _SEPARATORS) else _SEPARATORS
    first = 1 + _lines_before(path, text)
    for one in used:
        try:
            records = list(enumerate(csv.reader(head, delimiter=one), start=first))
        except csv.Error:
            continue
        refuse_titles([(row, cells) for row, cells in records if any(cell.strip() for cell in cells)], str(path))


def _lines_before(path: Path, text: str) -> int:
    """Return the number of lines of a file before its text: empty ones, and the one that states the separator."""
    whole = decoded(read_bytes(path, _LIMITS)[0], path)
    return whole[: len(whole) - len(text)].count("\n")


def _row_numbers(path: Path, text: str, separator: str, n: int) -> NDArray[np.int64]:
    """Return the number of every row in the file, as a spreadsheet shows it: empty lines are rows there."""
    skipped = _lines_before(path, text)
    if n + 1 == len(text.rstrip("\r\n").split("\n")):  # no empty line, and no cell of several lines
        return np.arange(n) + 2 + skipped
    records = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    numbers = [number for number, record in enumerate(records, start=1) if record][1:]
    return np.array(numbers[:n], dtype=np.int64) + skipped


def _empty_rows(rows: NDArray[np.int64], path: Path) -> tuple[str, ...]:
    if not len(rows):
        return ()
    which = (
        f"{len(rows)} empty rows of {path}, row {rows[0]} first, were"
        if len(rows) > 1
        else (f"The empty row {rows[0]} of {path} was")
    )
    return (f"{which} left out.",)


def _parquet(path: Path) -> Columns:
    try:
        with pq.ParquetFile(path) as file:  # read_table would import pandas
            return columns_of(file.read(), str(path))
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise PredictionError(f"{path} is not a readable table ({reason}); save the predictions again") from error


def _workbook(path: Path, sheet: str | None) -> TableFile:
    check_size(path, _LIMITS)
    try:
        import openpyxl
    except ImportError as error:
        raise PredictionError(
            f"{path} is an Excel file, which needs openpyxl; pip install 'equipoise[excel]', or save it as CSV"
        ) from error
    try:
        # Excel files are zip archives: a small one may unpack to more than the memory.
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > _LARGEST_WORKBOOK:
            raise PredictionError(f"{path} unpacks to {unpacked // MIB} MiB; save the table as CSV")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheets = {one.title: _filled([list(row) for row in one.iter_rows(values_only=True)]) for one in book.worksheets}
        book.close()
    except PredictionError:
        raise
    except Exception as error:  # openpyxl raises errors of every kind on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PredictionError(
            f"{path} is not a readable Excel file ({reason}): it may be damaged, or of another kind under this name; "
            "copy or export it again, or, if a spreadsheet program opens it, save it there as .xlsx or CSV"
        ) from error
    return _sheet(path, {name: rows for name, rows in sheets.items() if rows}, sheet)


def _sheet(path: Path, sheets: Mapping[str, list[tuple[int, list[str]]]], sheet: str | None) -> TableFile:
    if not sheets or (sheet is not None and sheet not in sheets):
        listed = ", ".join(sheets) or "none"
        raise PredictionError(f"{path} has no filled sheet {sheet or ''}".rstrip() + f" (filled: {listed}); name one")
    if len(sheets) > 1 and sheet is None:
        # Cases fill a sheet; a title page, or a summary, does not.
        longest = quote(max(sheets, key=lambda name: len(sheets[name])))
        raise PredictionError(
            f"{path} has {len(sheets)} filled sheets ({', '.join(sheets)}); say which one (--columns sheet={longest}, "
            f"of one arm ARM.sheet={longest})"
        )
    refuse_titles(sheets[sheet or next(iter(sheets))], str(path))
    (top, header), *body = sheets[sheet or next(iter(sheets))]
    _refuse_twins(header, str(path))
    columns = {
        name: np.array(with_points([row[index] for _, row in body]), dtype=object) for index, name in enumerate(header)
    }
    rows = np.array([number for number, _ in body], dtype=np.int64)
    # Rows behind the last one may be there for their format alone.
    empty = np.setdiff1d(np.arange(top + 1, rows[-1] if len(rows) else top), rows)
    return TableFile(columns, sha256(path), rows, _empty_rows(empty, path))


def _filled(rows: list[list[Any]]) -> list[tuple[int, list[str]]]:
    """Return the rows and columns of a sheet that hold anything, with row numbers and every cell as text."""
    texts = [["" if cell is None else _cell(cell) for cell in row] for row in rows]
    filled = [(number, row) for number, row in enumerate(texts, start=1) if any(row)]
    width = max((len(row) for _, row in filled), default=0)
    filled = [(number, [*row, *[""] * (width - len(row))]) for number, row in filled]
    used = [index for index in range(width) if any(row[index] for _, row in filled)]
    return [(number, [row[index] for index in used]) for number, row in filled]


def _cell(cell: Any) -> str:
    # Excel keeps every number as a fraction; a whole one is an id or a class far more often than 3.0 is meant.
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell).strip()


def _refuse_twins(names: Sequence[str], source: str) -> None:
    twins = [name for index, name in enumerate(names) if name in names[:index]]
    if twins:
        raise PredictionError(f"{source} has two columns {twins[0]!r}; rename one, or remove it")
