"""The second table of a detector, with one row per candidate, for FROC, CPM and average precision.

It accompanies the table of cases, which holds the number of relevant findings of each scan. A candidate inside two
relevant findings has a row for each, with the same number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.detection import Marks
from equipoise.plain_files import opened

FINDINGS = "findings"
"""The column of the table of cases that holds the number of relevant findings; only detectors have it."""
AXES = ("z_mm", "y_mm", "x_mm")
_TEXT = ("case", "patient", "split", "arm")
_WHOLE = ("fold", "seed", "candidate", "finding")


@dataclass(frozen=True)
class CandidateTable:
    """Columns of equal length k; place_mm is (k, 2 or 3) in array order, in the frame of the scan's first voxel.

    candidate: number within its case, arm, fold and seed; finding: number of the relevant finding that it hits, or −1;
    irrelevant: whether it is inside an irrelevant finding only.
    """

    case: NDArray[np.str_]
    patient: NDArray[np.str_]
    split: NDArray[np.str_]
    arm: NDArray[np.str_]
    fold: NDArray[np.int64]
    seed: NDArray[np.int64]
    candidate: NDArray[np.int64]
    place_mm: NDArray[np.float64]
    score: NDArray[np.float64]
    finding: NDArray[np.int64]
    irrelevant: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.case)

    def where(self, rows: NDArray[Any]) -> "CandidateTable":
        """Select rows by a mask or by indices."""
        return CandidateTable(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def marks(self, cases: NDArray[np.str_], findings: NDArray[Any]) -> Marks:
        """Return the rows of these cases (n,), sorted by name, with their numbers of relevant findings (n,)."""
        # Cases without a candidate stay in `findings`, where their misses count; rows of other cases are dropped.
        index = np.minimum(np.searchsorted(cases, self.case), len(cases) - 1)
        own = cases[index] == self.case
        scan = index[own].astype(np.int64)
        return Marks(scan, self.score[own], self.finding[own], self.irrelevant[own], findings.astype(np.int64))


def joined(tables: Sequence[CandidateTable]) -> CandidateTable:
    """Concatenate several tables."""
    names = CandidateTable.__dataclass_fields__
    return CandidateTable(**{name: np.concatenate([getattr(table, name) for table in tables]) for name in names})


def write_candidates(table: CandidateTable, path: Path) -> None:
    """Write one table in the public format."""
    columns: dict[str, Any] = {name: getattr(table, name) for name in (*_TEXT, "fold", "seed", "candidate")}
    axes = AXES[len(AXES) - table.place_mm.shape[1] :]
    columns |= {name: table.place_mm[:, index] for index, name in enumerate(axes)}
    columns |= {name: getattr(table, name) for name in ("score", "finding", "irrelevant")}
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)


def read_candidates(path: Path) -> CandidateTable:
    """Read one table in the public format; errors name a missing column or a case with a score that is no number."""
    try:
        # ParquetFile, because pq.read_table would import pandas.
        with opened(path) as stream, pq.ParquetFile(stream) as file:
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise PredictionError(f"{path} is not a readable Parquet file ({error}); make the predictions again") from error
    needed = (*_TEXT, *_WHOLE, "y_mm", "x_mm", "score", "irrelevant")
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise PredictionError(f"{path} has no column {missing[0]!r}; it has {', '.join(table.column_names)}")
    columns = {name: np.asarray(table[name].to_numpy(zero_copy_only=False)) for name in table.column_names}
    score = columns["score"].astype(np.float64)
    if not np.isfinite(score).all():
        case = columns["case"][int(np.argmin(np.isfinite(score)))]
        raise PredictionError(f"{path} has a candidate of case {case} whose score is not a number; predict it again")
    # 2D tables have no z_mm; the columns that exist are stacked in array order.
    places = [columns[name].astype(np.float64) for name in AXES if name in columns]
    read: dict[str, Any] = {name: columns[name].astype(str) for name in _TEXT}
    read |= {name: columns[name].astype(np.int64) for name in _WHOLE}
    read |= {"place_mm": np.stack(places, axis=1), "score": score, "irrelevant": columns["irrelevant"].astype(bool)}
    return CandidateTable(**read)
