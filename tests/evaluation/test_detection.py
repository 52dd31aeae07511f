import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from equipoise.errors import PredictionError
from equipoise.evaluation.detection import Findings, Marks, _Curve, average_precision, cpm, froc, leave_one_out, match

SCAN = tuple[np.ndarray, np.ndarray, Findings]


def _scans(seed: int, n: int = 12, ties: bool = True) -> list[SCAN]:
    """Centres, scores and findings of scans: candidates near findings, some irrelevant or unmeasured, and strays."""
    rng, scans = np.random.default_rng(seed), []
    for _ in range(n):
        m = int(rng.integers(0, 4))
        centres = rng.uniform(0, 60, (m, 3))
        diameters = np.where(rng.random(m) < 0.2, np.nan, rng.uniform(3, 25, m))
        findings = Findings(centres, diameters, rng.random(m) < 0.7)
        near = np.repeat(centres, 3, axis=0)
        places = np.concatenate([near + rng.normal(0, 6, near.shape), rng.uniform(0, 60, (int(rng.integers(0, 6)), 3))])
        scores = rng.random(len(places))
        scans.append((places, np.round(scores, 1) if ties else scores, findings))
    first = scans[0][2]
    if not any(findings.relevant.any() for _, _, findings in scans):
        scans[0] = (scans[0][0], scans[0][1], Findings(np.zeros((1, 3)), np.array([9.0]), np.array([True])))
        assert first is not scans[0][2]
    return scans


def _marks(scans: list[SCAN]) -> Marks:
    return Marks.of_scans([(match(places, findings), scores, findings) for places, scores, findings in scans])


def _events(scans: list[SCAN]) -> tuple[list[float], list[float], int]:
    """From LUNA16's description, finding by finding: scores of hits (once each) and false positives, all findings."""
    hits, false, total = [], [], 0
    for places, scores, findings in scans:
        radii = [(d if d > 0 else 10.0) / 2 for d in findings.diameter_mm]  # nan > 0 is false
        used = set()
        for relevant in (True, False):
            for centre, radius, kind in zip(findings.centre_mm, radii, findings.relevant, strict=True):
                if kind != relevant:
                    continue
                inside = [k for k, place in enumerate(places) if np.sqrt(((place - centre) ** 2).sum()) <= radius]
                used |= set(inside)
                if relevant:
                    total += 1
                    hits += [max(scores[k] for k in inside)] if inside else []
        false += [float(score) for k, score in enumerate(scores) if k not in used]
    return hits, false, total


def _slow_cpm(scans: list[SCAN]) -> float:
    hits, false, total = _events(scans)
    levels = sorted({*hits, *false}, reverse=True)
    rise = [(sum(s >= t for s in false) / len(scans), sum(s >= t for s in hits) / total) for t in levels]
    points = [(0.0, 0.0), *rise]
    values = []
    for rate in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8):
        x, y = max(p for p in points if p[0] <= rate)
        after = [p for p in points if p[0] > rate]
        values.append(y + (after[0][1] - y) * (rate - x) / (after[0][0] - x) if after else y)
    return float(np.mean(values))


def _slow_average_precision(scans: list[SCAN]) -> float:
    hits, false, total = _events(scans)
    precise = [sum(s >= t for s in hits) / (sum(s >= t for s in hits) + sum(s >= t for s in false)) for t in hits]
    return float(sum(precise)) / total


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_scores_are_those_of_the_description(seed: int, ties: bool) -> None:
    scans = _scans(seed, ties=ties)
    assert cpm(_marks(scans)) == pytest.approx(_slow_cpm(scans), abs=1e-12)
    assert average_precision(_marks(scans)) == pytest.approx(_slow_average_precision(scans), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_scikit_learns_where_every_finding_was_hit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hit, score = rng.random(200) < 0.3, np.round(rng.random(200), 2)
    finding = np.where(hit, np.arange(200), -1)
    marks = Marks(np.zeros(200, np.int64), score, finding, np.zeros(200, bool), np.array([hit.sum()]))
    assert average_precision(marks) == pytest.approx(average_precision_score(hit, score))
    missed = Marks(marks.scan, score, finding, marks.irrelevant, np.array([hit.sum() * 2]))
    assert average_precision(missed) == pytest.approx(average_precision_score(hit, score) / 2)


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
@pytest.mark.parametrize(("metric", "slow"), [(cpm, _slow_cpm), (average_precision, _slow_average_precision)])
def test_leaving_out_a_patient_is_leaving_out_the_patients_scans(metric, slow, seed: int) -> None:
    scans = _scans(seed) + _scans(seed + 1)
    patient = np.random.default_rng(seed).permutation(np.arange(len(scans)) % 5)
    found = leave_one_out(metric, _marks(scans), patient, 5)
    assert found.value == pytest.approx(slow(scans), abs=1e-12)
    for number in range(5):
        rest = [scan for scan, owner in zip(scans, patient, strict=True) if owner != number]
        assert found.without[number] == pytest.approx(slow(rest), abs=1e-12)


@pytest.mark.parametrize("metric", [cpm, average_precision])
def test_what_must_not_matter(metric) -> None:
    scans = _scans(3)
    marks, order = _marks(scans), np.random.default_rng(0).permutation(len(_marks(scans).scan))
    mixed = Marks(marks.scan[order], marks.score[order], marks.finding[order], marks.irrelevant[order], marks.findings)
    squashed = Marks(marks.scan, np.exp(marks.score), marks.finding, marks.irrelevant, marks.findings)
    assert metric(marks) == metric(mixed) == metric(squashed)
    kept = ~marks.irrelevant
    without = Marks(marks.scan[kept], marks.score[kept], marks.finding[kept], marks.irrelevant[kept], marks.findings)
    assert metric(without) == metric(marks)


def test_a_scan_by_hand() -> None:
    findings = Findings(np.array([[0.0, 0, 0], [0, 0, 30], [0, 0, 60]]), np.array([10.0, 10, 10]), np.ones(3, bool))
    places = np.array([[0.0, 0, 5], [0, 0, 1], [0, 9, 0], [0, 0, 34], [50, 50, 50]])
    marks = Marks.of_scans([(match(places, findings), np.array([0.4, 0.9, 0.8, 0.6, 0.1]), findings)])
    curve = froc(marks)
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.6, 0.1]  # the second hit of the first finding is no point
    assert curve.false_positives.tolist() == [0, 0, 1, 1, 2]
    np.testing.assert_allclose(curve.sensitivity, [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert curve.at(0.5) == pytest.approx(1 / 3)
    assert cpm(marks) == pytest.approx((3 * (1 / 3) + 4 * (2 / 3)) / 7)
    assert average_precision(marks) == pytest.approx((1 + 2 / 3) / 3)


def test_a_candidate_inside_two_findings_hits_both_and_a_relevant_one_first() -> None:
    findings = Findings(np.repeat([[0.0], [1.0], [2.0]], 3, axis=1), np.full(3, 20.0), np.array([True, False, True]))
    found = match(np.ones((1, 3)), findings)
    assert found.finding.tolist() == [0, 2]
    assert found.candidate.tolist() == [0, 0]
    assert not found.irrelevant.any()


def test_the_surface_counts_and_unmeasured_findings_are_10_mm_across() -> None:
    for diameter in (np.nan, -1.0, 0.0, 10.0):
        findings = Findings(np.zeros((1, 2)), np.array([diameter]), np.array([True]))
        assert match(np.array([[5.0, 0.0], [5.001, 0.0]]), findings).finding.tolist() == [0, -1]


def test_perfect_and_empty_answers() -> None:
    findings = Findings(np.zeros((1, 3)), np.array([8.0]), np.array([True]))
    found = match(np.zeros((1, 3)), findings)
    marks = Marks.of_scans([(found, np.ones(1), findings)])
    assert cpm(marks) == average_precision(marks) == 1.0
    nothing = Marks.of_scans([(match(np.empty((0, 3)), findings), np.empty(0), findings)])
    assert cpm(nothing) == average_precision(nothing) == 0.0


def test_what_cannot_be_scored_is_refused() -> None:
    none = Findings(np.empty((0, 3)), np.empty(0), np.empty(0, bool))
    one = Findings(np.zeros((1, 3)), np.array([8.0]), np.array([True]))
    for metric in (cpm, average_precision, froc):
        with pytest.raises(PredictionError, match="no scan of this part has a relevant finding"):
            metric(Marks.of_scans([(match(np.ones((1, 3)), none), np.ones(1), none)]))
        with pytest.raises(PredictionError, match="score is not a number"):
            metric(Marks.of_scans([(match(np.ones((1, 3)), one), np.array([np.nan]), one)]))
    marks = Marks.of_scans([(match(np.ones((1, 3)), f), np.ones(1), f) for f in (one, none)])
    with pytest.raises(PredictionError, match="without patient number 0 no relevant finding is left"):
        leave_one_out(cpm, marks, np.arange(2), 2)


def test_linear_between_points_of_equal_scores() -> None:
    # two hits and sixteen false positives share one score in two scans: the curve is one slanted line to (8, 1)
    scan = np.array([0, 1, *itertools.chain(*[[0, 1]] * 8)])
    finding = np.array([0, 0, *[-1] * 16])
    marks = Marks(scan, np.ones(18), finding, np.zeros(18, bool), np.array([1, 1]))
    assert cpm(marks) == pytest.approx(np.mean([r / 8 for r in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)]))


@pytest.mark.parametrize("ties", [True, False])
def test_scans_that_weigh_n_count_as_n_scans(ties: bool) -> None:
    scans = _scans(11, ties=ties)
    rates = np.geomspace(1 / 8, 8, 25)
    for weight in np.random.default_rng(0).multinomial(len(scans), np.full(len(scans), 1 / len(scans)), size=8):
        repeated = [scan for scan, n in zip(scans, weight, strict=True) for _ in range(n)]
        if any(findings.relevant.any() for _, _, findings in repeated):
            curve = froc(_marks(repeated))
            slow = np.interp(rates, curve.false_positives, curve.sensitivity)
            np.testing.assert_allclose(_Curve(_marks(scans)).sensitivity_at(rates, weight), slow, atol=1e-12)
