"""Candidates as LUNA16 has them, matched and scored against counts by hand."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import EquipoiseError
from equipoise.trials.audit import audit

FOUND = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
CANDIDATES = "seriesuid,coordX,coordY,coordZ,probability\n"
RATES = (0.125, 0.25, 0.5, 1, 2, 4, 8)


def files(root: Path, seed: int = 0) -> tuple[Path, Path, list[tuple[float, bool]], int]:
    """Findings and candidates of 40 scans; each candidate's score and whether it hits, and the number of findings."""
    rng = np.random.default_rng(seed)
    truth, rows, marks, findings = [], [], [], 0
    for scan in range(40):
        for k in range(scan % 3):
            findings += 1
            truth.append(f"1.2.{scan},{100 * k},0,0,10")
            if rng.random() < 0.7:
                score = float(rng.uniform(0.3, 1))
                rows.append(f"1.2.{scan},{100 * k + 4},0,0,{score:.6f}")
                marks.append((round(score, 6), True))
        for _ in range(rng.poisson(1.5)):
            score = float(rng.uniform(0, 0.9))
            rows.append(f"1.2.{scan},0,{rng.uniform(20, 90):.2f},50,{score:.6f}")
            marks.append((round(score, 6), False))
    (root / "annotations.csv").write_text(FOUND + "\n".join(truth), encoding="utf-8")
    (root / "net.csv").write_text(CANDIDATES + "\n".join(rows), encoding="utf-8")
    return root / "net.csv", root / "annotations.csv", marks, findings


def cpm_by_counting(marks: list[tuple[float, bool]], findings: int, scans: int) -> float:
    """Mean sensitivity at the seven rates, linear between the points of the curve."""
    false, hits, points = 0, 0, [(0.0, 0.0)]
    for _, hit in sorted(marks, reverse=True):
        hits, false = hits + hit, false + (not hit)
        points.append((false / scans, hits / findings))
    x, y = np.array(points).T
    # At one rate the curve is vertical, and its upper end counts.
    last = np.append(np.flatnonzero(np.diff(x)), len(x) - 1)
    return float(np.mean(np.interp(RATES, x[last], y[last])))


def test_the_cpm_is_that_of_counting(tmp_path: Path) -> None:
    net, truth, marks, findings = files(tmp_path)
    patients = {f"1.2.{scan}": f"p{scan}" for scan in range(40)}
    found = audit(net, truth=truth, patients=patients)
    assert found["endpoints"]["primary"] == "cpm"
    got = found["arms"][0]["endpoints"]["cpm"]["estimate"]
    assert got == pytest.approx(cpm_by_counting(marks, findings, 40), abs=1e-6)
    assert found["cohort"]["cases"] == 40


def test_arms_in_a_column_or_in_files_are_the_same(tmp_path: Path) -> None:
    net, truth, _, _ = files(tmp_path)
    lines = net.read_text(encoding="utf-8").splitlines()
    (tmp_path / "other.csv").write_text("\n".join([lines[0], *lines[1::2]]), encoding="utf-8")
    both = [f"algorithm,{lines[0]}", *(f"net,{one}" for one in lines[1:]), *(f"other,{one}" for one in lines[1::2])]
    (tmp_path / "both.csv").write_text("\n".join(both), encoding="utf-8")
    apart = audit([net, tmp_path / "other.csv"], truth=truth, cases_are_patients=True)
    joined = audit(tmp_path / "both.csv", truth=truth, cases_are_patients=True)
    assert apart["comparisons"][0]["difference"] == joined["comparisons"][0]["difference"]
    assert any("scans without either are not known" in warning for warning in apart["warnings"])


def test_what_a_detector_s_audit_needs_is_asked(tmp_path: Path) -> None:
    net, truth, _, _ = files(tmp_path)
    with pytest.raises(EquipoiseError, match="--truth"):
        audit(net, cases_are_patients=True)
    with pytest.raises(EquipoiseError, match="not in the list of patients"):
        audit(net, truth=truth, patients={"1.2.0": "p"})
    net.write_text(net.read_text(encoding="utf-8").replace("probability", "chance"), encoding="utf-8")
    with pytest.raises(EquipoiseError, match="'probability'"):
        audit(net, truth=truth, cases_are_patients=True)


def test_numbers_of_findings_without_candidates_are_no_traceback() -> None:
    table = {"arm": ["a", "b"] * 20, "case": [f"c{i // 2}" for i in range(40)], "findings": [1] * 40}
    found = audit(table, primary="cpm", cases_are_patients=True)
    assert "give the table of candidates" in found["comparisons"][0]["reason"]


def test_a_candidate_or_finding_that_stands_twice_is_refused(tmp_path: Path) -> None:
    net, truth, _, _ = files(tmp_path)
    patients = {f"1.2.{scan}": f"p{scan}" for scan in range(40)}
    for file, word in ((net, "candidate"), (truth, "finding")):
        text = file.read_text(encoding="utf-8")
        line = text.splitlines()[3]
        file.write_text(f"{text}\n{line}\n", encoding="utf-8")
        with pytest.raises(EquipoiseError, match=f"has a {word} of '{line.partition(',')[0]}' 2 times"):
            audit(net, truth=truth, patients=patients)
        file.write_text(text, encoding="utf-8")
    assert audit(net, truth=truth, patients=patients)["arms"]
