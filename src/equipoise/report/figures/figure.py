"""A figure of the report: drawings, words, and the numbers they show."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.report.figures.svg import Drawing, standalone

PANEL = 236.0
"""Width of one panel of a figure: four stand side by side on a desk, one on a phone, at legible sizes."""
WIDE, NARROW = 1000.0, 350.0
"""Widths of a figure that fills the page, on a desk and on a phone."""


@dataclass(frozen=True)
class Figure:
    """Drawings with a title, a caption that says how to read them and how they were made, and their numbers.

    name: file stem. panels: drawings of equal rank, side by side where there is room. narrow: what a phone shows
    instead of the panels (None: the same panels below each other). columns, rows: the numbers, for the CSV file.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Drawing, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    narrow: tuple[Drawing, ...] | None = None

    def csv(self) -> str:
        """The numbers as a CSV table."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([[_cell(value) for value in row] for row in self.rows])
        return text.getvalue()


def write_figures(figures: Sequence[Figure], folder: Path) -> None:
    """Write every figure as NAME.svg (its panels in one drawing) and NAME.csv into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures:
        (folder / f"{figure.name}.svg").write_text(standalone(figure.panels, figure.title), encoding="utf-8")
        (folder / f"{figure.name}.csv").write_text(figure.csv(), encoding="utf-8")


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
