"""Title rows above the header of a table: rows below them tell, and the caller is asked to delete them.

Reading on from a row that only seems to be the header would be a guess about every column.
"""

from collections.abc import Sequence
from itertools import islice, pairwise

from equipoise.errors import PredictionError

MOST_ROWS = 20
"""Rows that are looked at; the titles of exports are shorter."""


def refuse_titles(rows: Sequence[tuple[int, Sequence[str]]], source: str) -> None:
    """Raise PredictionError where the first row is a title and a later one the header.

    rows: row number and cells of the first rows that hold anything. A title has fewer filled cells than the header,
    which has words alone, no two alike, and stands above rows of its length.
    """
    shown = [(row, _filled(cells)) for row, cells in islice(rows, MOST_ROWS)]
    if len(shown) < 3:
        return
    titled = len(shown[0][1])
    for (row, cells), (_, below) in pairwise(shown[1:]):
        if any(map(_is_number, cells)):
            return
        longer = titled < len(cells) == len(set(cells)) and (titled == 1 or titled < len(cells) - 1)
        if longer and len(below) > 1 and any(map(_is_number, below)):
            raise PredictionError(
                f"the header of {source} seems to stand in row {row} ({', '.join(cells)}); delete the rows above it"
            )


def _filled(cells: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in cells if cell.strip()]


def _is_number(cell: str) -> bool:
    try:
        float(cell.rstrip("%").strip().replace(",", "."))
    except ValueError:
        return False
    return True
