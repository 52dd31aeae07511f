"""A figure of the report: drawings, text, and their numbers."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_text
from equipoise.report.figures.svg import Drawing, standalone
from equipoise.runfolder.paths import file_stem
from equipoise.sinks import cells

PANEL = 236.0
"""Width of one panel of a figure: four fit side by side on a desktop page, one on a phone, at legible sizes."""
WIDE, NARROW = 1000.0, 350.0
"""Widths of a figure that fills the page, on a desktop and on a phone."""


@dataclass(frozen=True)
class Figure:
    """Drawings with a title, a caption that explains how to read them and how they were made, and their numbers.

    name: file stem. panels: drawings of equal rank, side by side where there is room. narrow: the drawings for a phone
    (None: the same panels below each other). columns, rows: the numbers, for the CSV file.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Drawing, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    narrow: tuple[Drawing, ...] | None = None

    def csv(self) -> str:
        """Return the numbers as a CSV table."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(cells(self.columns))
        writer.writerows([cells(_cell(value) for value in row) for row in self.rows])
        return text.getvalue()


def write_figures(figures: Sequence[Figure], folder: Path) -> None:
    """Write every figure as NAME.svg (its panels in one drawing) and NAME.csv into `folder`."""
    for figure in figures:
        stem = file_stem(figure.name)  # an attribute of the data is part of some names
        write_text(folder / f"{stem}.svg", standalone(figure.panels, figure.title))
        write_text(folder / f"{stem}.csv", figure.csv())


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
