"""The table of predictions, from which alone every figure, interval and verdict is computed.

It has one row per case and job. Classification rows hold `truth` (class index) and one score per class; segmentation
rows hold one column per metric (per case); detection rows hold counts, with the candidates in a second table. `fold`
and `seed` identify the job that predicted the row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.candidate_table import FINDINGS, CandidateTable, joined, read_candidates
from equipoise.plain_files import opened
from equipoise.runfolder.paths import candidates_beside

SCORE = "score_"
_KEYS = ("case", "patient", "split", "arm")
_FIXED = (*_KEYS, "fold", "seed", "truth")


@dataclass(frozen=True)
class Predictions:
    """Columns of equal length n; scores is (n, classes), empty (n, 0) for other tasks; metrics are per row.

    candidates: those of a detector's cases; they may belong to more cases than the rows.
    """

    case: NDArray[np.str_]
    patient: NDArray[np.str_]
    split: NDArray[np.str_]
    arm: NDArray[np.str_]
    fold: NDArray[np.int64]
    seed: NDArray[np.int64]
    truth: NDArray[np.int64]
    scores: NDArray[np.float64]
    classes: tuple[str, ...] = ()
    metrics: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    candidates: CandidateTable | None = None

    def __len__(self) -> int:
        return len(self.case)

    def where(self, rows: NDArray[Any]) -> "Predictions":
        """Select rows by a mask or by indices."""
        # The candidates stay whole: they are joined by the case's name, and a copy for each selection costs memory.
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in (*_FIXED, "scores")}
        return replace(self, **columns, metrics={name: values[rows] for name, values in self.metrics.items()})

    def arms(self) -> list[str]:
        """Return arm names in order of first appearance."""
        return list(dict.fromkeys(self.arm.tolist()))


def write_parquet(predictions: Predictions, path: Path) -> None:
    """Write one table in the public format (`score_<class>` columns, then metrics)."""
    columns: dict[str, Any] = {name: getattr(predictions, name) for name in _KEYS}
    columns |= {"fold": predictions.fold, "seed": predictions.seed}
    if predictions.classes:
        columns["truth"] = np.array(predictions.classes)[predictions.truth]
    for index, name in enumerate(predictions.classes):
        columns[SCORE + name] = predictions.scores[:, index]
    columns |= predictions.metrics
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)


def read_parquet(path: Path) -> Predictions:
    """Read one table in the public format, with a detector's candidates; errors name missing or foreign columns."""
    try:
        with opened(path) as stream, pq.ParquetFile(stream) as file:  # read_table would import pandas
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise PredictionError(f"{path} is not a readable Parquet file ({error}); make the predictions again") from error
    missing = [name for name in (*_KEYS, "fold", "seed") if name not in table.column_names]
    if missing:
        raise PredictionError(f"{path} has no column {missing[0]!r}; it has {', '.join(table.column_names)}")
    columns = {name: np.asarray(table[name].to_numpy(zero_copy_only=False)) for name in table.column_names}
    classes = tuple(name.removeprefix(SCORE) for name in table.column_names if name.startswith(SCORE))
    n = table.num_rows
    index = {name: number for number, name in enumerate(classes)}
    unknown = sorted({str(t) for t in columns["truth"]} - set(index)) if classes else []
    if unknown:
        raise PredictionError(
            f"{path} has the truth {unknown[0]!r} without a column {SCORE}{unknown[0]}; add its scores"
        )
    truth = [index[str(t)] for t in columns["truth"]] if classes else [-1] * n
    scores = np.stack([columns[SCORE + name] for name in classes], axis=1) if classes else np.empty((n, 0))
    return Predictions(
        case=columns["case"].astype(str),
        patient=columns["patient"].astype(str),
        split=columns["split"].astype(str),
        arm=columns["arm"].astype(str),
        fold=columns["fold"].astype(np.int64),
        seed=columns["seed"].astype(np.int64),
        truth=np.array(truth, dtype=np.int64),
        scores=scores.astype(np.float64),
        classes=classes,
        metrics={
            name: values.astype(np.float64)
            for name, values in columns.items()
            if name not in _FIXED and not name.startswith(SCORE)
        },
        candidates=_candidates(candidates_beside(path), columns["case"].astype(str)) if FINDINGS in columns else None,
    )


def _candidates(path: Path, cases: NDArray[np.str_]) -> CandidateTable:
    """Read the candidates of a table of cases; refuse candidates of a case that the table lacks."""
    table = read_candidates(path)
    unknown = np.setdiff1d(table.case, cases)
    if len(unknown):
        raise PredictionError(f"{path} has candidates of case {unknown[0]!s}, which has no row beside it; add its row")
    return table


def concatenate(tables: Sequence[Predictions]) -> Predictions:
    """Concatenate tables of the same classes and metrics."""
    first = tables[0]
    for table in tables[1:]:
        if table.classes != first.classes or table.metrics.keys() != first.metrics.keys():
            raise PredictionError(
                f"predictions of {table.arm[:1]} have other classes or metrics than those of {first.arm[:1]}; "
                "bring them to the same columns"
            )
    columns: dict[str, Any] = {name: np.concatenate([getattr(t, name) for t in tables]) for name in (*_FIXED, "scores")}
    metrics = {name: np.concatenate([t.metrics[name] for t in tables]) for name in first.metrics}
    candidate_tables = [table.candidates for table in tables if table.candidates is not None]
    return replace(first, **columns, metrics=metrics, candidates=joined(candidate_tables) if candidate_tables else None)
