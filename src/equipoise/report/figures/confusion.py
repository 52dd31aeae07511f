"""Confusion matrices of all arms: counts and rates of every true class."""

from collections.abc import Sequence
from typing import Any

from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.svg import Drawing

_CELL_HEIGHT = 46.0
_CROWDED = 34.0
"""Width of a cell below which a share with its sign, and a count, would overlap the next cell."""
_DARKEST = 0.6
"""Opacity of a full cell, at which its text stays legible in light and dark mode."""


def confusion_figure(entries: Sequence[dict[str, Any]], names: dict[str, str], classes: Sequence[str]) -> Figure | None:
    """Draw one matrix per entry of results.json that has a confusion; None where none has."""
    shown = [entry for entry in entries if entry.get("confusion")]
    if not shown:
        return None
    rows = tuple(
        (entry["name"], true, called, entry["confusion"][i][j], _share(entry["confusion"][i], j))
        for entry in shown
        for i, true in enumerate(classes)
        for j, called in enumerate(classes)
    )
    runs = max(int(entry.get("confusion_runs") or 1) for entry in shown)
    return Figure(
        "confusion",
        "Confusion matrices",
        "Rows: the truth; columns: the class with the highest score. " + _how_to_read(runs, len(classes)),
        tuple(_matrix(entry, names[entry["name"]], classes) for entry in shown),
        ("name", "truth", "called", "count", "share_of_truth"),
        rows,
    )


def _how_to_read(runs: int, n: int) -> str:
    if _cell_width(n) < _CROWDED:
        return (
            "Numbers: share of the true class in %, empty for 0; the counts are in the CSV. The diagonal shows "
            "correct classifications."
        )
    summed = f", summed over {runs} training runs (so every test case counts {runs} times)" if runs > 1 else ""
    return f"Large: share of the true class; small: count{summed}. The diagonal shows correct classifications."


def _cell_width(n: int) -> float:
    return (PANEL - 64.0) / n


def _matrix(entry: dict[str, Any], name: str, classes: Sequence[str]) -> Drawing:
    counts, n = entry["confusion"], len(classes)
    cell = _cell_width(n)
    # Names that do not fit above their column are rotated.
    turned = max(len(name) for name in classes) * 6.2 > cell
    left, top, width = 64.0, 92.0 if turned else 60.0, PANEL - 64.0
    rates = ", ".join(f"{c}: {100 * _share(counts[i], i):.0f} % correct" for i, c in enumerate(classes))
    drawing = Drawing(PANEL, top + _CELL_HEIGHT * n + 6, f"Confusion matrix of {name}", rates)
    drawing.text(0, 12, name, "head")
    drawing.text(left + width / 2, 32, "called", "label", "middle")
    drawing.text(left - 7, top - 8, "truth", "label", "end")
    for j, called in enumerate(classes):
        middle = left + cell * (j + 0.5)
        if turned:
            drawing.text(middle - 4, top - 6, _short(called, 11), "small", turned=-38.0)
        else:
            drawing.text(middle, top - 8, called, "small", "middle")
    for i, true in enumerate(classes):
        y = top + _CELL_HEIGHT * i
        drawing.text(left - 7, y + 27, _short(true, 10), "small", "end")
        for j in range(n):
            share = _share(counts[i], j)
            drawing.rect(left + cell * j + 1, y + 1, cell - 2, _CELL_HEIGHT - 2, "box")
            with drawing.hint(f"truth {classes[i]}, called {classes[j]}: {counts[i][j]}"):
                drawing.rect(left + cell * j + 1, y + 1, cell - 2, _CELL_HEIGHT - 2, "cell", _DARKEST * share)
            middle = left + cell * (j + 0.5)
            if cell >= _CROWDED:
                drawing.text(middle, y + 22, f"{100 * share:.0f} %", "head" if i == j else "t", "middle")
                drawing.text(middle, y + 37, str(counts[i][j]), "small", "middle")
            elif counts[i][j]:
                drawing.text(middle, y + 27, f"{100 * share:.0f}", "small", "middle")
    return drawing


def _share(row: Sequence[int], column: int) -> float:
    total = sum(row)
    return row[column] / total if total else 0.0


def _short(name: str, room: int) -> str:
    return name if len(name) <= room else name[: max(room - 1, 1)] + "…"
