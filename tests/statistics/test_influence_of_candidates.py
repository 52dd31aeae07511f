"""Detectors in the pipeline: from candidates to influence, interval and verdict."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.candidate_table import CandidateTable, joined
from equipoise.evaluation.detection import average_precision, cpm
from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.reasons import sentence
from equipoise.statistics import judge
from equipoise.statistics.endpoints import Kind, endpoint_named
from equipoise.statistics.influence import detection_influence
from equipoise.statistics.panel import align


def _detector(
    rng: np.random.Generator, findings: np.ndarray, skill: float, patient: np.ndarray, split: str = "test"
) -> CandidateTable:
    """Candidates of one run: each finding is marked with a probability, each scan has false marks."""
    rows = []
    for scan, m in enumerate(findings):
        marked = np.flatnonzero(rng.random(m) < 0.9)
        false = int(rng.poisson(3))
        found, score = np.concatenate([marked, np.full(false, -1)]), rng.normal(0, 1, len(marked) + false)
        score[: len(marked)] += skill
        rows += [(scan, n, f, s) for n, (f, s) in enumerate(zip(found, score, strict=True))]
    scan, number, finding, score = (np.array(column) for column in zip(*rows, strict=True))
    k = len(rows)
    return CandidateTable(
        np.array([f"scan-{n:03d}" for n in scan]), np.array([f"p-{patient[n]:03d}" for n in scan]), np.full(k, split),
        np.full(k, "a"), np.zeros(k, np.int64), np.zeros(k, np.int64), number, np.zeros((k, 3)),
        score, finding.astype(np.int64), np.zeros(k, bool),
    )  # fmt: skip


def _table(skills: Sequence[float], seeds: int = 3, patients: int = 80, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    patient = np.sort(np.concatenate([np.arange(patients), rng.integers(0, patients, patients // 4)]))
    n = len(patient)
    findings = rng.poisson(1.2, n)
    runs = [(chr(ord("a") + k), s, _detector(rng, findings, skill, patient))
            for k, skill in enumerate(skills) for s in range(seeds)]  # fmt: skip
    lists = [replace(t, arm=np.full(len(t), a), seed=np.full(len(t), s, np.int64)) for a, s, t in runs]
    names = np.array([f"scan-{k:03d}" for k in range(n)])
    return Predictions(
        case=np.tile(names, len(runs)), patient=np.tile([f"p-{p:03d}" for p in patient], len(runs)),
        split=np.full(n * len(runs), "test"), arm=np.repeat([a for a, _, _ in runs], n),
        fold=np.zeros(n * len(runs), np.int64), seed=np.repeat([s for _, s, _ in runs], n),
        truth=np.full(n * len(runs), -1), scores=np.empty((n * len(runs), 0)),
        metrics={"findings": np.tile(findings.astype(float), len(runs))}, candidates=joined(lists),
    )  # fmt: skip


@pytest.mark.parametrize(("name", "metric"), [("cpm", cpm), ("average_precision", average_precision)])
def test_influence_is_the_slow_jackknife_over_patients(name, metric) -> None:
    table = _table([1.0, 2.0], seeds=1, patients=20)
    (fold,) = align(table).folds
    found = endpoint_named(name, list(table.metrics)).influence(fold, None, 25)
    for column, marks in enumerate(fold.marks):
        assert found.value[column] == metric(marks)
        without = np.array([metric(marks.of_scans_where(fold.patient != p)) for p in range(20)])
        np.testing.assert_allclose(found.total[column, :20], -19 / 20 * (without - without.mean()), atol=1e-12)
    assert not found.total[:, 20:].any()
    assert found.present.sum() == 20


@pytest.mark.long
@pytest.mark.parametrize("name", ["cpm", "average_precision"])
def test_influence_tells_how_much_the_metric_varies_between_cohorts(name) -> None:
    values, variances = [], []
    for seed in range(150):
        table = _table([1.5], seeds=1, patients=60, seed=seed)
        (fold,) = align(table).folds
        value, part = detection_influence(
            fold.marks, {"cpm": cpm, "average_precision": average_precision}[name], fold.patient, 60
        )
        values.append(value[0])
        variances.append((part**2).sum() * 60 / 59)
    assert np.mean(variances) == pytest.approx(np.var(values, ddof=1), rel=0.3)


@pytest.mark.long
def test_a_better_detector_wins_and_equal_ones_do_not() -> None:
    judged = judge(_table([1.0, 3.5]), primary="cpm", secondary=("average_precision",), margin=0.03)
    (pair,) = [c for c in judged.comparisons if c.role == "primary"]
    assert pair.verdict == "b_better"
    assert 0 < judged.endpoints["b"]["cpm"].low < judged.endpoints["b"]["cpm"].estimate < 1
    assert judged.endpoints["a"]["cpm"].method == "logit"
    judged = judge(_table([1.5, 1.5]), primary="cpm", margin=0.001)
    assert judged.comparisons[0].verdict == "not_enough_data"


@pytest.mark.long
def test_the_order_of_rows_does_not_matter() -> None:
    table, rng = _table([1.0, 2.0]), np.random.default_rng(1)
    mixed = replace(table.where(rng.permutation(len(table))),
                    candidates=table.candidates.where(rng.permutation(len(table.candidates))))  # fmt: skip
    ours, theirs = (judge(t, primary="cpm", margin=0.03).comparisons[0] for t in (table, mixed))
    assert (ours.difference, ours.p) == (theirs.difference, theirs.p)


@pytest.mark.long
def test_validation_candidates_do_not_count() -> None:
    table = _table([1.0, 2.0])
    others = replace(table.candidates, split=np.full(len(table.candidates), "validation"))
    both = replace(table, candidates=joined([table.candidates, others]))
    ours, theirs = (judge(t, primary="cpm", margin=0.03).comparisons[0] for t in (table, both))
    assert (ours.difference, ours.p) == (theirs.difference, theirs.p)


@pytest.mark.long
def test_a_detector_without_a_single_candidate_scores_0() -> None:
    table = _table([1.0, 2.0])
    silent = replace(table, candidates=table.candidates.where(table.candidates.arm == "a"))
    judged = judge(silent, primary="cpm", margin=0.03)
    assert judged.endpoints["b"]["cpm"].estimate == 0
    nobody = replace(table, candidates=table.candidates.where(np.zeros(len(table.candidates), bool)))
    assert judge(nobody, primary="cpm", margin=0.03).endpoints["a"]["cpm"].estimate == 0


def test_endpoints_of_detection_are_offered_where_there_are_findings() -> None:
    assert endpoint_named("cpm", ["findings"]).kind is Kind.FREE
    with pytest.raises(PredictionError, match="average_precision, cpm, findings"):
        endpoint_named("auc", ["findings"])
    with pytest.raises(PredictionError, match="no endpoint 'cpm'"):
        endpoint_named("cpm", ["dice"])


def test_arms_that_disagree_on_the_truth_are_refused() -> None:
    table = _table([1.0, 2.0])
    findings = table.metrics["findings"] + (table.arm == "b") * (table.case == "scan-004")
    with pytest.raises(PredictionError, match="case 'scan-004' has another number of findings"):
        align(replace(table, metrics={"findings": findings}))
    fewer = {"findings": np.minimum(table.metrics["findings"], 1)}
    judged = judge(replace(table, metrics=fewer), primary="cpm", margin=0.03)
    assert "more findings of a scan were hit than it has" in sentence(judged.comparisons[0].reason)
