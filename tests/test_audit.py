"""An audit gives the numbers of a trial, and refuses in one sentence what cannot be judged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from equipoise.auditing import audit
from equipoise.errors import PredictionError, ProtocolError
from equipoise.evaluation.tables import read_table
from equipoise.statistics import judge


@pytest.fixture
def table() -> dict[str, Any]:
    """Two arms of three seeds on 120 patients, as columns."""
    rng = np.random.default_rng(5)
    truth = np.arange(120) % 2
    columns: dict[str, list[Any]] = {key: [] for key in ("arm", "seed", "case", "patient", "truth", "score_b")}
    for arm, skill in (("good", 2.0), ("<b>poor", 0.8)):
        for seed in range(3):
            score = 1 / (1 + np.exp(-(skill * (truth - 0.5) + rng.normal(size=120))))
            for key, values in (
                ("arm", [arm] * 120), ("seed", [seed] * 120), ("case", [f"{i:03d}" for i in range(120)]),
                ("patient", [f"{i:03d}" for i in range(120)]), ("truth", np.array(["a", "b"])[truth].tolist()),
                ("score_b", score.tolist()),
            ):  # fmt: skip
                columns[key] += values
    return {key: np.array(values) for key, values in columns.items()} | {"score_a": 1 - np.array(columns["score_b"])}


def ordered(table: dict[str, Any]) -> dict[str, Any]:
    """The second class is the positive one."""
    return {key: table[key] for key in ("arm", "seed", "case", "patient", "truth", "score_a", "score_b")}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_and_memory_agree_with_the_trial(table: dict[str, Any], tmp_path: Path, kind: str) -> None:
    arrow, path = pa.table(ordered(table)), tmp_path / f"predictions.{kind}"
    pyarrow.csv.write_csv(arrow, path) if kind == "csv" else pq.write_table(arrow, path)
    found = audit(path)
    assert found == audit(arrow) == audit(ordered(table))
    pair = judge(read_table(path), primary="auc", margin=None, arms=["good", "<b>poor"]).comparisons[0]
    assert found["comparisons"][0]["difference"] == pytest.approx(pair.difference, abs=0)
    assert found["exploratory"]
    assert not found["ledger"]["verified"]


def test_report_says_what_it_is_and_escapes(table: dict[str, Any], tmp_path: Path) -> None:
    results = audit(ordered(table), out=tmp_path / "audit")
    page = (tmp_path / "audit/report.html").read_text(encoding="utf-8")
    assert "made elsewhere" in page
    assert "no ledger" in page
    assert "&lt;b&gt;poor" in page
    assert "<b>poor" not in page
    assert json.loads((tmp_path / "audit/results.json").read_text(encoding="utf-8")) == results


def test_patients_must_be_known_or_stated(table: dict[str, Any]) -> None:
    bare = {key: values for key, values in ordered(table).items() if key != "patient"}
    with pytest.raises(PredictionError, match="no column 'patient'"):
        audit(bare)
    assert any("another patient" in one for one in audit(bare, cases_are_patients=True)["warnings"])


def test_trained_cases_are_refused(table: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    path.write_text("case\n007\nelsewhere\n", encoding="utf-8")
    with pytest.raises(PredictionError, match="'007'"):
        audit(ordered(table), training=path)


def test_a_missing_case_refuses_the_verdict(table: dict[str, Any]) -> None:
    found = audit({key: values[1:] for key, values in ordered(table).items()})
    assert found["comparisons"][0]["verdict"] == "refused"


def test_foreign_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x", encoding="utf-8")
    for name in ("x.txt", "absent.csv"):
        with pytest.raises(PredictionError, match=name):
            audit(tmp_path / name)


def test_an_endpoint_of_ones_own_is_computed_from_predictions_made_elsewhere(
    table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def misses(truth, scores):\n    return ((truth == 1) & (scores[:, 1] < 0.5)).mean()\n"
    (tmp_path / "own_for_audit.py").write_text(source + "misses.higher_is_better = False\n")
    monkeypatch.chdir(tmp_path)
    found = audit(ordered(table), "own_for_audit:misses", margin=0.1)
    assert found["endpoints"]["higher_is_better"] is False
    truth, score = table["truth"] == "b", table["score_b"]
    wanted = [((truth & (score < 0.5))[(table["arm"] == "good") & (table["seed"] == s)]).mean() for s in range(3)]
    assert found["arms"][0]["endpoints"]["own_for_audit:misses"]["estimate"] == pytest.approx(np.mean(wanted))
    with pytest.raises(ProtocolError, match="own_for_audit has no 'mises'"):
        audit(ordered(table), "own_for_audit:mises")
