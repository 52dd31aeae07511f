"""Which column a refusal proposes for a role: the one whose cells are most like it, for a command that can be typed.

It is a proposal and never read: a patient number proposed as the truth would be typed in good faith.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.external.reading import Columns
from equipoise.evaluation.external.table_file import MISSING, as_numbers

Cells = NDArray[Any]
_FEW = 0.2
"""Share of different cells at most which a column holds classes: a person has a few images, a class has many."""


def likely(role: str, columns: Columns, free: Iterable[str]) -> str:
    """Return the free column most like a role ("case", "patient", "truth", "score"), "NAME" where none is free.

    >>> table = {"No": ["01", "01", "02"], "ID": ["a", "b", "c"], "Dx": ["i", "w", "i"], "p": ["0.2", "0.9", "0.4"]}
    >>> columns = {name: np.array(cells, dtype=object) for name, cells in table.items()}
    >>> [likely(role, columns, columns) for role in ("case", "patient", "truth", "score")]
    ['ID', 'No', 'Dx', 'p']
    """
    ranked = [(_LIKENESS[role](columns[name]), name) for name in free if name in columns]
    return max(ranked, key=lambda one: one[0])[1] if ranked else "NAME"


def may_be_scores(columns: Columns, names: Iterable[str]) -> list[str]:
    """Return the columns of numbers that are no ids: numbers that begin with zeros are names."""
    return [name for name in names if as_numbers(columns[name]) is not None and _has_numbers(columns[name])]


def may_be_patients(cells: Cells) -> bool:
    """Return whether cells may name people: no fractions, no few classes, none empty."""
    return not _is_fraction(cells) and _distinct(cells) > _FEW and len(_words(cells)) == len(cells)


def _has_numbers(cells: Cells) -> bool:
    words = _words(cells)
    return bool(words) and not any(_is_padded(one) for one in words)


def _is_padded(word: str) -> bool:
    return len(word) > 1 and word.startswith("0") and word.isdigit()


def _words(cells: Cells) -> list[str]:
    return [word for cell in cells.tolist() if (word := str(cell).strip()).lower() not in MISSING]


def _is_fraction(cells: Cells) -> bool:
    numbers = as_numbers(cells)
    return numbers is not None and bool((numbers[np.isfinite(numbers)] % 1 != 0).any())


def _distinct(cells: Cells) -> float:
    words = _words(cells)
    return len(set(words)) / len(cells) if len(cells) else 0.0


def _as_case(cells: Cells) -> tuple[float, ...]:
    return float(not _is_fraction(cells)), _distinct(cells)


def _as_patient(cells: Cells) -> tuple[float, ...]:
    distinct = _distinct(cells)
    # Names repeat, as people have several images, but not as classes do.
    return float(not _is_fraction(cells)), float(_FEW < distinct < 1), distinct


def _as_truth(cells: Cells) -> tuple[float, ...]:
    words = set(_words(cells))
    are_names = _is_fraction(cells) or any(map(_is_padded, words))
    return float(len(words) > 1 and not are_names), -_distinct(cells)


def _as_score(cells: Cells) -> tuple[float, ...]:
    return float(as_numbers(cells) is not None and _has_numbers(cells)), float(_is_fraction(cells)), _distinct(cells)


_LIKENESS: Mapping[str, Callable[[Cells], tuple[float, ...]]] = {
    "case": _as_case, "patient": _as_patient, "truth": _as_truth, "score": _as_score,
}  # fmt: skip
