"""Single scores that do not fit the scale of all others: a lost decimal comma (629 for 62,9), a fraction (0,629).

Whoever is told only that the scale of a column is unclear looks for a fault of the export, and there is none: one cell
is wrong. It is named by its row. A fraction among percentages is read as a small percentage, without any error, and
may turn a verdict: it is named too, and refused where the decimals of all other cells show what it is.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.external.reading import Caution, Columns, RowNumbers

Array = NDArray[np.float64]
FEW = 0.1
"""Largest share of rows that can be called wrong by what all others are."""
FEWEST = 4
"""Other rows that are needed for that."""
FAR = 5.0
"""A percentage below one so many times smaller than the next one may be a fraction."""
_FEW_FRACTIONS = 0.05
_NO_LOGIT = 30
"""A score above it, in a column that was not said to hold percentages, is a percentage and no logit."""
_TELLING = 5
"""Percentages from 1 to 10 that tell a fixed number of decimals from a fixed number of digits."""
_NOWHERE = RowNumbers(np.zeros(0, np.int64))


@dataclass(frozen=True)
class Place:
    """Where scores stand: the file, its own name of their column, the table (rows,), and the rows' numbers."""

    source: str
    name: str
    columns: Columns
    rows: RowNumbers = field(default_factory=lambda: _NOWHERE)

    def of(self, index: int) -> str:
        """Return in words where the score of a row of the table stands."""
        row = self.rows.of(index, self.columns)
        return f"{row}, column {self.name!r}" if row else f"in column {self.name!r}"


def outside(scores: Array, whole: float, most: float = FEW) -> NDArray[np.int64]:
    """Return the rows of scores (rows, columns) outside 0 to `whole` (1 or 100), where few are; none where many are.

    most: the largest share of rows that may be outside; the others must look like scores of that scale.

    >>> outside(np.array([[62.9], [629], [7.0], [3.5], [88.0]]), 100), outside(np.array([[-2.0], [3.0], [0.1]]), 1)
    (array([1]), array([], dtype=int64))
    """
    known = np.isfinite(scores).all(axis=1)
    out = known & ((scores < 0) | (scores > whole)).any(axis=1)
    rest = scores[known & ~out]
    if not out.any() or len(rest) < FEWEST or out.sum() > max(1, most * known.sum()):
        return np.zeros(0, np.int64)
    # Logits may all but one be positive, and few are as large as percentages are; where those were stated, most decide.
    large = 1 if most > FEW else _NO_LOGIT
    alike = whole == 1 or bool(rest.max() > large and (rest > 1).mean() > 0.5)
    return np.flatnonzero(out) if alike else np.zeros(0, np.int64)


def sentence_outside(scores: Array, whole: float, place: Place, rows: NDArray[np.int64], at: NDArray[np.int64]) -> str:
    """Say which score lies outside 0 to `whole`: rows of `scores`, of which `at` are their indices in the table."""
    first = scores[rows[0]]
    value = first[(first < 0) | (first > whole)][0]
    more = f", and {len(rows) - 1} more do" if len(rows) > 1 else ""
    return (
        f"{place.source} has {value:.6g} {place.of(int(at[rows[0]]))}, which lies outside 0 to {whole:g}{more}, and "
        f"all other {len(scores) - len(rows)} lie within"
    )


REMEDY = "correct it, or leave its cell empty if the case has no score"


def fractions(scores: Array, place: Place, cells: NDArray[Any]) -> list[str]:
    """Return cautions on few percentages (rows,) below one that all others exceed by far.

    cells: as they stand in the file. Raises PredictionError where their decimals say that they are fractions.
    """
    known = np.isfinite(scores)
    low = np.flatnonzero(known & (scores > 0) & (scores < 1))
    high = np.flatnonzero(known & (scores >= 1))
    if not len(low) or len(high) < FEWEST:
        return []
    _refuse_by_decimals(scores, place, cells, low, high)
    next_one = scores[high].min()
    if len(low) > max(1, _FEW_FRACTIONS * known.sum()) or next_one < FAR * scores[low].max():
        return []
    if max(_decimals(cells[int(k)]) for k in low) < 2:  # 0.6 would be 60 %, in a column without whole numbers
        return []
    index = int(low[0])
    first = f"{_cell(cells[index])} {place.of(index)}"
    more = f" ({len(low)} such scores)" if len(low) > 1 else ""
    note = (
        f"{place.source} has {first}{more}, read as {scores[index]:.3g} %, while the next percentage is "
        f"{next_one:.3g}: if it is a fraction, write it as a percentage ({100 * scores[index]:.4g})."
    )
    return [Caution(note)]


def _refuse_by_decimals(
    scores: Array, place: Place, cells: NDArray[Any], low: NDArray[np.int64], high: NDArray[np.int64]
) -> None:
    """Raise PredictionError for a score below one with two decimals more than any other, where these have few.

    Programs that round to three digits write 62.9, 6.29 and 0.629: that the percentages from 1 to 10 have no more
    decimals than those above shows that the decimals are fixed.
    """
    decimals = {int(k): _decimals(cells[k]) for k in (*low, *high)}
    small, large = ([decimals[int(k)] for k in high if (scores[k] < 10) == below] for below in (True, False))
    if len(small) < _TELLING or not large or max(small) > max(large):
        return
    usual = max(large)
    odd = [int(k) for k in low if decimals[int(k)] >= usual + 2]
    if not odd or len(odd) > FEW * len(decimals):
        return
    index = odd[0]
    more = f" ({len(odd)} such scores)" if len(odd) > 1 else ""
    raise PredictionError(
        f"{place.source} has {_cell(cells[index])} {place.of(index)}{more}, with {decimals[index]} decimals where all "
        f"other percentages have at most {usual}, as if it were a fraction; write {100 * scores[index]:.6g}, or, if it "
        f"is {scores[index]:.4g} %, {scores[index]:.{usual}f}"
    )


def _decimals(cell: Any) -> int:
    return len(_cell(cell).rstrip("%").strip().replace(",", ".").partition(".")[2])


def _cell(cell: Any) -> str:
    return f"{cell:.15g}" if isinstance(cell, float) else str(cell).strip()
