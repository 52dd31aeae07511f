"""Files that a crash leaves whole: written beside their place, flushed to the disk, renamed."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.candidate_table import candidate_file, write_candidates
from equipoise.evaluation.predictions import Predictions, write_parquet


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, flush it to the disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically."""
    text = json.dumps(value, indent=1)
    write_atomic(path, lambda file: file.write_text(text, encoding="utf-8"))


def write_predictions(path: Path, table: Predictions) -> None:
    """Write a table of predictions atomically; a detector's candidates before it, for the table says that both lie."""
    if table.candidates is not None:
        write_atomic(candidate_file(path), partial(write_candidates, table.candidates))
    write_atomic(path, partial(write_parquet, table))


def write_planes(path: Path, planes: dict[str, NDArray[np.uint8]]) -> None:
    """Write arrays by name atomically."""

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **planes)

    write_atomic(path, save)
