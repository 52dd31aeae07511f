"""Write a job's files atomically: tables of predictions, columns of numbers, pictures."""

import csv
import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import Write, write_atomic, write_json
from equipoise.evaluation.candidate_table import write_candidates
from equipoise.evaluation.predictions import Predictions, write_parquet
from equipoise.runfolder.paths import candidates_beside
from equipoise.sinks import cells

__all__ = ["write_atomic", "write_json", "write_planes", "write_predictions", "write_rows"]


def write_predictions(path: Path, table: Predictions, write: Write = write_atomic) -> None:
    """Write a table of predictions, and before it a detector's candidates."""
    # The table comes last, because its presence means that both files are complete.
    if table.candidates is not None:
        write(candidates_beside(path), partial(write_candidates, table.candidates))
    write(path, partial(write_parquet, table))


def write_planes(path: Path, planes: Mapping[str, NDArray[np.uint8]], write: Write = write_atomic) -> None:
    """Write arrays by name as a compressed .npz file."""

    def save(temporary: Path) -> None:
        """Write all arrays into one file."""
        # Through an open file: given a path, numpy appends ".npz" to the temporary name, and the final rename would
        # fail.
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **planes)

    write(path, save)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], write: Write = write_atomic) -> None:
    """Write rows of equal keys as CSV with the keys as header."""
    text = io.StringIO()
    names = list(rows[0])
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(cells(names))
    writer.writerows(cells(row[name] for name in names) for row in rows)
    content = text.getvalue().encode("utf-8")
    write(path, lambda file: file.write_bytes(content))
