import numpy as np
import pytest

from equipoise.evaluation.candidates import Candidates
from equipoise.evaluation.detection import Findings, cpm
from equipoise.evaluation.matched_scans import MarkedScan, detection_predictions, marks_of
from equipoise.evaluation.predictions import read_parquet
from equipoise.runfolder.write import write_predictions


def scan(name, places, scores, split="test"):
    """Findings at 0 and 20 mm, an irrelevant one at 40 mm, all with a radius of 3 mm."""
    findings = Findings(np.array([[0.0, 0], [0, 20], [0, 40]]), np.full(3, 6.0), np.array([True, True, False]))
    candidates = Candidates(np.array([[0.0, x] for x in places]).reshape(-1, 2), np.array(scores, float))
    return MarkedScan.of(name, f"p-{name}", split, candidates, findings)


def test_counts_best_scores_and_false_positives_by_hand():
    one = scan("a", [10, 1, 2, 41, 60], [0.9, 0.8, 0.7, 0.6, 0.5])
    assert one.counts() == {"findings": 2, "found": 1, "candidates": 5, "false_positives": 2}
    assert one.best_scores().tolist() == [0.8, -np.inf, -np.inf]
    assert one.false_positives().tolist() == [0, 4]


def test_a_scan_without_candidates_counts_its_findings():
    one = scan("a", [], [])
    assert one.counts() == {"findings": 2, "found": 0, "candidates": 0, "false_positives": 0}
    assert one.best_scores().tolist() == [-np.inf] * 3


@pytest.mark.parametrize("empty", [False, True])
def test_tables_come_back_from_files_with_the_same_score(tmp_path, empty):
    scans = [scan("b", [] if empty else [1, 10], [] if empty else [0.9, 0.3]), scan("a", [], [])]
    table = detection_predictions(scans, "unet", 2, 7)
    write_predictions(tmp_path / "predictions.parquet", table)
    found = read_parquet(tmp_path / "predictions.parquet")
    assert found.case.tolist() == ["b", "a"]
    assert found.metrics["findings"].tolist() == [2, 2]
    assert len(found.candidates) == (0 if empty else 2)
    marks = found.candidates.marks(np.array(["a", "b"]), np.array([2, 2]))
    assert cpm(marks) == cpm(marks_of(scans)) == (0 if empty else 0.25)
    if not empty:
        assert found.candidates.place_mm.tolist() == [[0, 1], [0, 10]]
        assert set(found.candidates.seed) == {7}


def test_a_table_of_another_name_has_its_own_candidates(tmp_path):
    for name, places in (("predictions", [1]), ("without-0", [1, 2])):
        table = detection_predictions([scan("a", places, [0.5] * len(places))], "unet", 0, 0)
        write_predictions(tmp_path / f"{name}.parquet", table)
    assert len(read_parquet(tmp_path / "predictions.parquet").candidates) == 1
    assert len(read_parquet(tmp_path / "without-0.parquet").candidates) == 2
