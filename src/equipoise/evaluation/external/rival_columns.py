"""Two columns that could both have one role and disagree: which one counts is asked, by name, and never chosen."""

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from equipoise.errors import PredictionError
from equipoise.evaluation.external.table_file import MISSING, as_numbers

RIVALS = ("truth", "patient")
"""Roles of ids whose columns are compared; those of scores and calls are found beside them, by their own names."""


def refuse_rivals(
    role: str,
    chosen: str,
    others: Sequence[str],
    columns: Mapping[str, NDArray[Any]],
    source: str,
    remedy: str | None = None,
) -> None:
    """Raise PredictionError for the first of `others` that disagrees with the column chosen for a role."""
    other = next((name for name in others if _disagree(role, columns[chosen], columns[name])), None)
    if other is not None:
        raise PredictionError(
            f"{source} has two columns that could be the {role} and disagree ({chosen}, {other}); "
            + (remedy or f"say which one is, such as --columns {role}={quote(chosen)}")
        )


def _disagree(role: str, chosen: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two columns cannot both tell the same, in another spelling or a finer one.

    Patients: unless their names go together one by one. Truths: where they have values in common and differ, or where
    neither is a finer one of the other. Scores: unless they order the cases alike.
    """
    if role == "score":
        first, second = as_numbers(chosen), as_numbers(other)
        if first is None or second is None:
            return False
        known = np.isfinite(first) & np.isfinite(second)
        return not np.allclose(rankdata(first[known].round(9)), rankdata(second[known].round(9)))
    rows = [
        pair
        for pair in zip(map(_cell, chosen.tolist()), map(_cell, other.tolist()), strict=True)
        if not {cell.lower() for cell in pair} & MISSING
    ]
    pairs = set(rows)
    values = {first for first, _ in pairs}, {second for _, second in pairs}
    if role != "patient" and values[0] & values[1] and any(first != second for first, second in pairs):
        return True
    finer = [len(pairs) == len(one) for one in values]
    return not all(finer) if role == "patient" else not any(finer)


def _cell(cell: Any) -> str:
    """Return a cell as text; a whole number loses its point."""
    text = "" if cell is None or cell != cell else str(cell).strip()
    return text.removesuffix(".0")
