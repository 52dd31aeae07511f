"""Characteristics of the cases of each part (the first table of a paper), from cases.csv alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from equipoise.report.text.subgroups import words_of
from equipoise.runfolder.read import RunFolder

PARTS = ("train", "validation", "test")
SEVERAL = 6
"""A numeric attribute with more values than this is given by its quartiles; a text with more is omitted."""
_OWN = ("case", "patient", "label")


@dataclass(frozen=True)
class Characteristic:
    """An attribute, or one of its values, with a text for each part (train, validation, test)."""

    name: str
    cells: tuple[str, ...]


def characteristics(run: RunFolder) -> list[Characteristic]:
    """Tabulate class and attributes by part of the first fold; empty where cases.csv or the split is unknown."""
    folds = run.lock["split"]["folds"]
    parts = [folds[0].get(part) or [] for part in PARTS] if folds else []
    if not run.cases or not parts or not parts[0]:
        return []
    names = [name for name in run.cases[0] if name not in _OWN and not name.startswith("part")]
    rows = []
    for name in ("label", *names):
        values = {row["case"]: row.get(name) or "" for row in run.cases}
        columns = [[values.get(case, "") for case in cases] for cases in parts]
        rows += _described("class" if name == "label" else words_of(name), columns)
    return rows


def _described(name: str, columns: Sequence[Sequence[str]]) -> list[Characteristic]:
    known = {value for column in columns for value in column if value}
    if not known:
        return []
    if len(known) <= SEVERAL:
        unknown = [""] if any("" in column for column in columns) else []
        return [
            Characteristic(
                f"{name}: {value or 'not stated'}",
                tuple(_share(column.count(value), len(column)) for column in map(list, columns)),
            )
            for value in [*sorted(known), *unknown]
        ]
    try:
        return [Characteristic(f"{name}, median (quartiles)", tuple(_quartiles(column) for column in columns))]
    except ValueError:
        return []


def _share(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / total:.0f} %)" if total else "–"


def _quartiles(column: Sequence[str]) -> str:
    numbers = [float(value) for value in column if value]
    if not numbers:
        return "–"
    low, middle, high = np.quantile(numbers, [0.25, 0.5, 0.75])
    unknown = f"; {len(column) - len(numbers)} not stated" if len(numbers) < len(column) else ""
    return f"{middle:.3g} ({low:.3g} to {high:.3g}){unknown}"


def in_words(rows: Sequence[Characteristic], most: int = 8) -> str:
    """Return the first rows as one sentence, for a checklist."""
    return "; ".join(f"{row.name}: {' / '.join(row.cells)}" for row in rows[:most])
