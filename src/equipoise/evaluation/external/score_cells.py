"""Cells of scores that are no plain numbers: percentages are read as such; dates and words are named by their row."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.layouts.tables import COMMA_NUMBER
from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import PERCENT, AuditOptions
from equipoise.evaluation.external.reading import Columns, RowNumbers
from equipoise.evaluation.external.score_strays import REMEDY
from equipoise.evaluation.external.table_file import MISSING, number

_WITH_SIGN = re.compile(r"([+-]?\d+(?:[.,]\d+)?)\s*%")
_OF_WORDS = 0.5
"""Share of cells that are no number above which a column holds words, and not numbers with a few faulty cells."""


def plain_numbers(
    columns: Columns,
    names: list[str],
    source: str,
    rows: RowNumbers,
    options: AuditOptions,
    shown: Mapping[str, str] | None = None,
) -> tuple[Columns, AuditOptions, list[str]]:
    """Return the columns `names` with percentages ("62,9 %") as numbers, the options with that scale, and notes.

    shown: what the file calls a column, where that is another name. Raises PredictionError for a cell without its sign
    among percentages, for a few that are no number at all, and for a column without any score.
    """
    notes = []
    for key in names:
        name = (shown or {}).get(key, key)
        cells = [_text(cell) for cell in columns[key].tolist()]
        filled = [index for index, cell in enumerate(cells) if cell.lower() not in MISSING]
        if cells and not filled:
            _refuse_empty(name, source, len(cells), options)
        notes += _without_a_score(columns, cells, name, source, rows)
        signed = [index for index in filled if _WITH_SIGN.fullmatch(cells[index])]
        if not signed:
            _refuse_odd_cells(columns, cells, filled, name, source, rows)
            continue
        plain = next((index for index in filled if index not in set(signed)), None)
        if plain is not None:
            raise PredictionError(
                f"{source} has in column {name!r} percentages, as {cells[signed[0]]!r}, and {cells[plain]!r} "
                f"{rows.of(plain, columns)}; write all cells in one way"
            )
        if options.scores not in (None, PERCENT):
            raise PredictionError(
                f"{source} has percentages in column {name!r}, as {cells[signed[0]]!r}, which are no {options.scores}; "
                f"leave --scores out for this file, or state {PERCENT}"
            )
        options = replace(options, scores=PERCENT)
        numbers = np.full(len(cells), np.nan)
        numbers[signed] = [float(_WITH_SIGN.fullmatch(cells[k])[1].replace(",", ".")) for k in signed]  # type: ignore[index]
        columns = {**columns, key: numbers}
        notes.append(f"The cells of {name!r} of {source} have the sign % and were read as percentages.")
    return columns, options, notes


def percentages(cells: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return cells as percentages, NaN where one is missing; None unless all others have the sign %.

    >>> percentages(np.array(["62,9 %", "", "7%"], dtype=object)).tolist(), percentages(np.array(["62,9"]))
    ([62.9, nan, 7.0], None)
    """
    texts = [_text(cell) for cell in cells.tolist()]
    matches = [_WITH_SIGN.fullmatch(text) for text in texts]
    filled = [match for text, match in zip(texts, matches, strict=True) if text.lower() not in MISSING]
    if not filled or not all(filled):
        return None
    return np.array([np.nan if match is None else float(match[1].replace(",", ".")) for match in matches])


def _without_a_score(columns: Columns, cells: list[str], name: str, source: str, rows: RowNumbers) -> list[str]:
    """Return a note on rows without a score, which names the first by its number: ids may be hidden in what follows."""
    empty = [index for index, cell in enumerate(cells) if cell.lower() in MISSING]
    if not empty or not len(rows.numbers) or len(cells) != len(rows.numbers):
        return []
    many = f" for {len(empty)} of {len(cells)} rows, the first" if len(empty) > 1 else ""
    return [f"{source} has no score in column {name!r}{many} {rows.of(empty[0], columns)}."]


def _refuse_empty(name: str, source: str, rows: int, options: AuditOptions) -> None:
    """Raise PredictionError for a column of scores without any score."""
    # What a program writes as a formula has no value before a spreadsheet has computed and saved it.
    excel = source.lower().endswith((".xlsx", ".xlsm"))
    formulas = "if it holds formulas, open and save the file in Excel, " if excel else "fill it in, "
    scope = f"{options.arm}." if options.arm else ""
    raise PredictionError(
        f"column {name!r} of {source} is empty in all {rows} rows, so no case has a score; {formulas}or say which "
        f"column holds the scores (--columns {scope}score=NAME)"
    )


def _refuse_odd_cells(
    columns: Mapping[str, NDArray[Any]],
    cells: list[str],
    filled: list[int],
    name: str,
    source: str,
    rows: RowNumbers,
) -> None:
    odd = [index for index in filled if not _is_number(cells[index]) and not COMMA_NUMBER.fullmatch(cells[index])]
    if odd and len(odd) <= _OF_WORDS * len(filled):
        more = f" ({len(odd)} such cells)" if len(odd) > 1 else ""
        raise PredictionError(
            f"{source} has {cells[odd[0]]!r} in column {name!r} {rows.of(odd[0], columns)}{more}, which is no number; "
            f"{REMEDY}"
        )
    pointed = next((index for index in filled if _is_number(cells[index]) and "." in cells[index]), None)
    comma = next((index for index in filled if COMMA_NUMBER.fullmatch(cells[index])), None)
    if comma is not None and pointed is not None and not odd:
        raise PredictionError(
            f"{source} has in column {name!r} {cells[pointed]!r} {rows.of(pointed, columns)} and {cells[comma]!r} "
            f"{rows.of(comma, columns)}; write all with points"
        )


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True


def _text(cell: Any) -> str:
    return "" if cell is None or cell != cell else str(cell).strip()
