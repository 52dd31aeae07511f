from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.candidate_table import CandidateTable, joined, read_candidates, write_candidates
from equipoise.evaluation.predictions import Predictions, concatenate, read_parquet, write_parquet


def _table(k: int = 6, axes: int = 3) -> CandidateTable:
    rng = np.random.default_rng(k)
    whole = rng.integers(0, 3, k)
    return CandidateTable(
        np.array([f"scan-{n}" for n in whole]), np.array([f"p-{n}" for n in whole]), np.full(k, "test"),
        np.full(k, "arm"), np.zeros(k, np.int64), np.ones(k, np.int64), np.arange(k), rng.random((k, axes)),
        rng.random(k), rng.integers(-1, 2, k), rng.random(k) < 0.5,
    )  # fmt: skip


def _cases(names: tuple[str, ...] = ("scan-0", "scan-1", "scan-2")) -> Predictions:
    n = len(names)
    return Predictions(
        case=np.array(names), patient=np.array(names), split=np.full(n, "test"), arm=np.full(n, "arm"),
        fold=np.zeros(n, np.int64), seed=np.ones(n, np.int64), truth=np.full(n, -1), scores=np.empty((n, 0)),
        metrics={"findings": np.full(n, 2.0)},
    )  # fmt: skip


@pytest.mark.parametrize("axes", [2, 3])
def test_what_is_written_is_read(tmp_path: Path, axes: int) -> None:
    table = _table(axes=axes)
    write_candidates(table, tmp_path / "candidates.parquet")
    found = read_candidates(tmp_path / "candidates.parquet")
    for name in CandidateTable.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, name), getattr(table, name))
    assert pq.read_schema(tmp_path / "candidates.parquet").names == [
        *("case", "patient", "split", "arm", "fold", "seed", "candidate"),
        *("z_mm", "y_mm", "x_mm")[3 - axes :],
        *("score", "finding", "irrelevant"),
    ]


def test_the_table_of_cases_brings_its_candidates(tmp_path: Path) -> None:
    write_parquet(_cases(), tmp_path / "predictions.parquet")
    with pytest.raises(PredictionError, match=r"candidates.parquet is not a readable Parquet file"):
        read_parquet(tmp_path / "predictions.parquet")
    write_candidates(_table(), tmp_path / "candidates.parquet")
    found = read_parquet(tmp_path / "predictions.parquet")
    assert len(found.candidates) == 6
    assert len(concatenate([found, found]).candidates) == 12
    write_parquet(_cases(("scan-0", "scan-1")), tmp_path / "predictions.parquet")
    with pytest.raises(PredictionError, match="candidates of case scan-2, which has no row"):
        read_parquet(tmp_path / "predictions.parquet")


def test_rows_become_marks_of_the_cases_asked_for() -> None:
    table = _table(40)
    marks = table.marks(np.array(["scan-0", "scan-2"]), np.array([3, 1]))
    rows = table.case != "scan-1"
    np.testing.assert_array_equal(marks.score, table.score[rows])
    np.testing.assert_array_equal(marks.scan, (table.case[rows] == "scan-2").astype(int))
    assert marks.findings.tolist() == [3, 1]


def test_tables_join_row_by_row() -> None:
    both = joined([_table(3), _table(4)])
    assert len(both) == 7
    np.testing.assert_array_equal(both.where(np.arange(3, 7)).score, _table(4).score)


def test_tables_that_cannot_be_used_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "candidates.parquet"
    with pytest.raises(PredictionError, match="is not a readable Parquet file"):
        read_candidates(path)
    table = _table()
    write_candidates(replace(table, score=np.where(table.candidate == 2, np.nan, table.score)), path)
    with pytest.raises(PredictionError, match=f"a candidate of case {table.case[2]} whose score is not a number"):
        read_candidates(path)
    write_candidates(table, path)
    pq.write_table(pq.read_table(path).drop_columns(["finding"]), path)
    with pytest.raises(PredictionError, match="has no column 'finding'; it has case, patient"):
        read_candidates(path)
