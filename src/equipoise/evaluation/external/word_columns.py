"""Columns of words that have no role: left aside, unless the rows of a case differ by them alone.

Then they may name the arms, or those who read the case several times: readers, sessions. Which of the two decides what
is compared, so it is asked; who has said which the arms are is not offered other ones.
"""

from collections.abc import Sequence
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.external.reading import Columns
from equipoise.evaluation.external.roles import ROLES
from equipoise.evaluation.external.table_file import MISSING, as_numbers

_MOST_ARMS = 12
"""More columns of numbers than this are hardly the arms of one table."""


def without_words(
    columns: Columns, source: str, subgroups: Sequence[str], *, arm_stated: bool = False
) -> tuple[Columns, list[str]]:
    """Leave columns of words without a role aside, with a note; PredictionError where a case has several rows.

    arm_stated: whether the caller named the arm of the file, so that no column names arms.
    """
    free = [name for name in columns if name not in (*ROLES, *subgroups) and not name.lower().startswith("score_")]
    words = [name for name in free if _only_words(columns[name])]
    if not words or "case" not in columns:
        return columns, []
    if len(set(_rows(columns))) < len(columns["case"]):
        numbers = [name for name in free if name not in words]
        raise PredictionError(_several_rows(columns, source, words, numbers, arm_stated=arm_stated))
    note = f"The columns {', '.join(words)} of {source} hold words and were not used (--subgroup makes groups of one)."
    return {name: values for name, values in columns.items() if name not in words}, [note]


def _rows(columns: Columns, *more: str) -> list[tuple[str, ...]]:
    names = [name for name in ("arm", "seed", "fold", "split", "case") if name in columns]
    return list(zip(*(columns[name].astype(str).tolist() for name in (*names, *more)), strict=True))


def _several_rows(
    columns: Columns, source: str, words: Sequence[str], numbers: Sequence[str], *, arm_stated: bool
) -> str:
    """Return the question on a table with several rows of one case, which the columns `words` tell apart."""
    known = arm_stated or "arm" in columns
    each = "case and arm" if "arm" in columns else "case"
    begins = f"{source} has several rows of one {each}, which differ in {', '.join(words)}"
    mean = f"average them, so that the table has one row of each {each}"
    if known:
        return f"{begins}: where these are readings of it, {mean}, else keep one row"
    # With two such columns either may name the arms, and rows repeat in both ways.
    options = " or ".join(f"--columns arm={quote(name)}" for name in words[:3])
    arms = f"if {'it names' if len(words) == 1 else 'one of them names'} the arms, say so ({options})"
    if 1 < len(numbers) <= _MOST_ARMS:
        wide = quote(f"arms={'+'.join(numbers)}")
        arms += f"; if each of {', '.join(numbers)} is an arm, say so (--columns {wide} --metric NAME)"
    return f"{begins}; {arms}; where rows are readings of a case, as by several readers, {mean}"


def _only_words(values: NDArray[Any]) -> bool:
    cells = [cell for cell in values.tolist() if isinstance(cell, str) and cell.strip().lower() not in MISSING]
    return bool(cells) and all(as_numbers(np.array([cell], dtype=object)) is None for cell in set(cells))
