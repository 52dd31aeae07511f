"""A run of detectors, judged and drawn from its two tables alone."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from equipoise.evaluation.candidate_table import CandidateTable, write_candidates
from equipoise.evaluation.detection import cpm
from equipoise.evaluation.predictions import read_parquet, write_parquet
from equipoise.report import write_report


def _detect(folder: Path, seed: int, skill: float) -> None:
    """Turn a classifier's rows into a detector's: findings by case, and candidates on most of them and elsewhere."""
    table, rng = read_parquet(folder / "predictions.parquet"), np.random.default_rng(seed)
    cases = len(table)
    findings = np.array([len(str(case)) + int(str(case)[-1]) for case in table.case]) % 3
    scan = np.concatenate([np.repeat(np.arange(cases), findings), rng.integers(0, cases, 3 * cases)])
    number = np.concatenate([np.arange(n) for n in findings if n] + [np.full(3 * cases, -1)])
    seen = (number < 0) | (rng.random(len(scan)) < 0.9)
    scan, number = scan[seen], number[seen]
    k = len(scan)
    own = table.where(scan)
    write_candidates(
        CandidateTable(
            own.case, own.patient, own.split, own.arm, own.fold, own.seed, np.arange(k), rng.random((k, 3)),
            rng.normal(size=k) + skill * (number >= 0), number, np.zeros(k, bool),
        ),
        folder / "candidates.parquet",
    )  # fmt: skip
    truth, scores = np.full(cases, -1), np.empty((cases, 0))
    counts = replace(table, truth=truth, scores=scores, classes=(), metrics={"findings": findings.astype(float)})
    write_parquet(counts, folder / "predictions.parquet")


@pytest.fixture
def detectors(make_folder: Callable[..., Path]) -> Path:
    folder = make_folder(patients=120)
    shutil.rmtree(folder / "baselines")
    for arm, skill in (("unet-adam", 1.5), ("deeplab-adam", 1.5), ("densenet-adam", 3.0)):
        for seed in range(3):
            _detect(folder / "jobs" / arm / f"0-{seed}", 10 * len(arm) + seed, skill)
    shutil.rmtree(folder / "jobs" / "densenet-adaptive-momentum")
    lock = json.loads((folder / "lock.json").read_text())
    lock["cohort"] |= {"task": "detection", "classes": {}}
    lock["arms"], lock["jobs"] = lock["arms"][:3], lock["jobs"][:9]
    lock["endpoints"] |= {"primary": "cpm", "secondary": ["average_precision"], "positive": None}
    (folder / "lock.json").write_text(json.dumps(lock))
    return folder


@pytest.mark.long
def test_a_run_of_detectors_is_judged_and_drawn(detectors: Path) -> None:
    write_report(detectors)
    results = json.loads((detectors / "results.json").read_text())
    arm = results["arms"][2]
    tables = [
        read_parquet(detectors / "jobs" / "densenet-adam" / f"0-{seed}" / "predictions.parquet") for seed in range(3)
    ]
    own = []
    for table in tables:
        test = table.where(table.split == "test")
        test = test.where(np.argsort(test.case))
        own.append(cpm(test.candidates.marks(test.case, test.metrics["findings"])))
    assert arm["endpoints"]["cpm"]["estimate"] == pytest.approx(np.mean(own))
    assert arm["endpoints"]["cpm"]["low"] < np.mean(own) < arm["endpoints"]["cpm"]["high"]
    verdicts = {(pair["a"], pair["b"]): pair["verdict"] for pair in results["comparisons"]}
    assert verdicts["unet-adam", "densenet-adam"] == "b_better"
    assert results["failures"] == []
    assert (detectors / "figures" / "froc.svg").is_file()
    assert "FROC curves" in (detectors / "report.html").read_text()


@pytest.mark.long
def test_a_missing_table_of_candidates_is_a_named_failure(detectors: Path) -> None:
    (detectors / "jobs" / "unet-adam" / "0-1" / "candidates.parquet").unlink()
    write_report(detectors)
    (failure,) = json.loads((detectors / "results.json").read_text())["failures"]
    assert (failure["arm"], failure["seed"], failure["status"]) == ("unet-adam", 1, "missing")
    assert "candidates.parquet" in failure["reason"]
