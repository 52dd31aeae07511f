"""Tables as spreadsheets and tools write them: separators, encodings and decimal commas, read where certain."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from os import PathLike
from typing import Any

from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.limits import MIB, Limits
from equipoise.cohorts.formats.refusal import RefusedFile

TABLE_LIMITS = Limits(file_bytes=64 * MIB)
SUFFIXES = (".csv", ".tsv", ".txt")
_SEPARATORS = (",", ";", "\t", "|")
_STATED_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
"""A number with a decimal comma: 0,5, ,5 as SPSS writes it, 5,0e-01."""
_WHOLE_NUMBER = re.compile(r"[+-]?\d+(?:[eE][+-]?\d+)?")
NO_NUMBER = frozenset({
    "", "na", "n/a", "n.a.", "n. a.", "n.a", "nan", "-nan", "null", "none", "nil", "#n/a", "<na>", "missing",
    ".", "-", "--", "–", "—", "?", "k.a.", "k. a.",
})  # fmt: skip
"""Words, in small letters, by which tables mark a missing number."""
_GROUPED_NUMBER = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
"""Such as 1,234: a decimal number in one country and a whole one in another."""


def read_table(path: str | PathLike[str]) -> list[dict[str, str]]:
    """Return the rows of a table with a header, every value as text without spaces around it.

    Values are separated by commas, semicolons, tabs or bars; the text is UTF-8, UTF-16 with a mark, or Windows-1252. In
    a column of decimal commas they become points, unless all could be thousands. Refuses what has no rows, repeats a
    column, or has rows of another length than the header.
    """
    raw, _ = read_bytes(path, TABLE_LIMITS)
    text = decoded(raw, path)
    lines = _separated(text, path)
    header = [cell.strip() for cell in lines[0][1]]
    if len(set(header)) != len(header):
        raise RefusedFile(path, "it has two columns of one name", "rename one")
    for number, line in lines[1:]:
        if len(line) != len(header):
            reason = f"its row {number} has {len(line)} values for {len(header)} columns"
            raise RefusedFile(path, reason, "correct the row, with quotes around values that hold the separator")
    columns = [with_points([line[index].strip() for _, line in lines[1:]]) for index in range(len(header))]
    return [dict(zip(header, row, strict=True)) for row in zip(*columns, strict=True)]


def decoded(raw: bytes, path: str | PathLike[str]) -> str:
    """Return the text of a file in UTF-8, UTF-16 with a mark, or Windows-1252."""
    # Windows-1252 takes nearly every byte, so it comes last: before UTF-8 it would turn names into nonsense silently.
    encodings = ["utf-16"] if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise RefusedFile(path, "it is not text in UTF-8, UTF-16 or Windows-1252", "save it as CSV in UTF-8")


def _separated(text: str, path: str | PathLike[str]) -> list[tuple[int, list[str]]]:
    """Return line numbers and cells, the header first, without empty lines."""
    first, _, rest = text.lstrip("\r\n").partition("\n")
    # Tools that write tables for Excel put "sep=;" into the first line, which is no header.
    separator_line = _STATED_SEPARATOR.fullmatch(first.strip())
    if separator_line:
        return _parsed(rest, separator_line[1], path)
    # TotalSegmentator's meta.csv has semicolons, and a header may hold a comma in a name: of the readings in which all
    # rows are as long as the header, the one with most columns is meant.
    used = [separator for separator in _SEPARATORS if separator in first]
    readings = [lines for separator in used or [","] if (lines := _parsed(text, separator, path, strict=len(used) < 2))]
    whole = [lines for lines in readings if all(len(line) == len(lines[0][1]) for _, line in lines)]
    candidates = whole or readings
    if not candidates:
        raise RefusedFile(path, "it is not a CSV file", "save it as CSV in UTF-8")
    return max(candidates, key=lambda lines: len(lines[0][1]))


def _parsed(text: str, separator: str, path: str | PathLike[str], strict: bool = True) -> list[tuple[int, list[str]]]:
    try:
        # Without `strict`, a quote that is never closed swallows all rows that follow it.
        lines = list(csv.reader(io.StringIO(text), delimiter=separator, strict=True))
    except csv.Error as error:
        if not strict:
            return []
        raise RefusedFile(path, f"it is not a CSV file ({error})", "save it as CSV in UTF-8") from error
    filled = [(number, line) for number, line in enumerate(lines, start=1) if any(cell.strip() for cell in line)]
    if len(filled) < 2:
        raise RefusedFile(path, "it has no rows", "give a header line and one line per case")
    return filled


def with_points(values: Sequence[str]) -> Sequence[str]:
    """Return a column whose numbers have decimal commas, with points; any other column as it is.

    >>> with_points(["3,5", "", "4"]), with_points(["1,234", "5,678"])
    (['3.5', '', '4'], ['1,234', '5,678'])
    >>> with_points(["3,5", "n/a"]), with_points(["6,735e-01", ",25", "1e-05"])
    (['3.5', 'n/a'], ['6.735e-01', '.25', '1e-05'])
    """
    filled = [value for value in values if value.lower() not in NO_NUMBER]
    with_comma = [value for value in filled if COMMA_NUMBER.fullmatch(value)]
    others_are_whole = all(_WHOLE_NUMBER.fullmatch(value) for value in filled if value not in with_comma)
    certain = any(not _GROUPED_NUMBER.fullmatch(value) for value in with_comma)
    return [value.replace(",", ".") for value in values] if with_comma and others_are_whole and certain else values


def number_or_text(text: str) -> Any:
    """Return a number where the text is one, else the text; empty text stays empty.

    >>> number_or_text("3.5"), number_or_text("site A")
    (3.5, 'site A')
    """
    try:
        return float(text)
    except ValueError:
        return text


def sort_key(text: str) -> tuple[bool, float, str]:
    """Order numbers by their value, then texts by their letters.

    >>> sorted(["b", "10", "9", "a"], key=sort_key)
    ['9', '10', 'a', 'b']
    """
    value = number_or_text(text)
    return (False, value, text) if isinstance(value, float) else (True, 0.0, text)
