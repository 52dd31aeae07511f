import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from equipoise.errors import PredictionError
from equipoise.evaluation.roc import GRID, Run, band, roc, sensitive_point, youden_point


def _scores(n: int, separation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = np.arange(n) < n // 3
    return positive, rng.normal(separation * positive).round(1)


@pytest.mark.long
@given(st.integers(6, 80), st.integers(0, 20))
def test_curve_agrees_with_scikit_learn(n: int, seed: int) -> None:
    positive, score = _scores(n, 1.0, seed)
    fpr, tpr, thresholds = roc_curve(positive, score, drop_intermediate=False)
    ours = roc(positive, score)
    np.testing.assert_allclose(ours.fpr, fpr)
    np.testing.assert_allclose(ours.tpr, tpr)
    np.testing.assert_allclose(ours.thresholds[1:], thresholds[1:])
    assert np.trapezoid(ours.tpr, ours.fpr) == pytest.approx(roc_auc_score(positive, score))


def test_one_class_is_refused() -> None:
    with pytest.raises(PredictionError, match="found 0 positive of 3 cases"):
        roc(np.zeros(3, dtype=bool), np.arange(3.0))


def _runs(n: int, seeds: int) -> list[Run]:
    patient = (np.arange(n) // 2).astype(str)
    questions = [_scores(n, 1.3, seed) for seed in range(seeds)]
    return [Run(positive[None], score[None], patient) for positive, score in questions]


@pytest.mark.long
def test_band_holds_the_mean_curve_and_ends_in_the_corners() -> None:
    result = band(_runs(200, 3), np.random.default_rng(0))
    assert np.all(result.low <= result.tpr + 1e-9)
    assert np.all(result.tpr <= result.high + 1e-9)
    assert result.tpr[-1] == result.low[-1] == 1.0
    assert np.all(np.diff(result.tpr) >= 0)


def test_mean_curve_is_the_vertical_mean_of_the_runs() -> None:
    runs = _runs(90, 2)
    result = band(runs, np.random.default_rng(0), replicates=20)
    for index in (10, 50, 90):
        heights = [np.max(c.tpr[c.fpr <= GRID[index] + 1e-12]) for c in (roc(r.positive[0], r.score[0]) for r in runs)]
        assert result.tpr[index] >= np.mean(heights) - 1e-9


@pytest.mark.long
def test_band_narrows_with_patients_and_repeats_from_its_seed() -> None:
    wide = band(_runs(60, 3), np.random.default_rng(1))
    narrow = band(_runs(1200, 3), np.random.default_rng(1))
    assert np.mean(narrow.high - narrow.low) < 0.5 * np.mean(wide.high - wide.low)
    np.testing.assert_array_equal(wide.low, band(_runs(60, 3), np.random.default_rng(1)).low)


def test_weighted_replicates_equal_the_curve_of_the_drawn_patients() -> None:
    """Ten literal lines: draw the patients, repeat their rows, make the curve."""
    run = _runs(40, 1)[0]
    rng = np.random.default_rng(5)
    patients = np.unique(run.patient)
    weights = rng.multinomial(patients.size, np.full(patients.size, 1 / patients.size), size=200)
    slow = []
    for drawn in weights:
        rows = np.repeat(np.arange(40), drawn[np.searchsorted(patients, run.patient)])
        curve = roc(run.positive[0, rows], run.score[0, rows])
        slow.append([curve.tpr[curve.fpr == 0].max(), np.trapezoid(curve.tpr, curve.fpr)])
    result = band([run], np.random.default_rng(5), replicates=200)
    assert result.low[0] == pytest.approx(np.percentile([s[0] for s in slow], 2.5))
    assert result.high[0] == pytest.approx(np.percentile([s[0] for s in slow], 97.5))


def test_runs_on_different_folds_share_a_band() -> None:
    positive, score = _scores(80, 1.5, 0)
    patient = np.arange(80).astype(str)
    even = np.arange(80) % 2 == 0
    folds = [Run(positive[None, part], score[None, part], patient[part]) for part in (even, ~even)]
    assert np.isfinite(band(folds, np.random.default_rng(0)).low).all()


def test_several_questions_of_one_run_are_averaged() -> None:
    one, other = _runs(100, 2)
    both = Run(np.vstack([one.positive, other.positive]), np.vstack([one.score, other.score]), one.patient)
    curves = [band([run], np.random.default_rng(0), replicates=5).tpr for run in (one, other, both)]
    np.testing.assert_allclose(curves[2], (curves[0] + curves[1]) / 2)
    assert both.usable()
    assert not Run(np.vstack([one.positive, np.ones((1, 100), dtype=bool)]), both.score, one.patient).usable()


def test_youden_point_has_the_best_sum() -> None:
    positive, score = _scores(120, 1.2, 3)
    point = youden_point(positive, score)
    curve = roc(positive, score)
    assert point.sensitivity + point.specificity - 1 == pytest.approx(np.max(curve.tpr - curve.fpr))
    called = score >= point.threshold
    assert called[positive].mean() == pytest.approx(point.sensitivity)
    assert (~called[~positive]).mean() == pytest.approx(point.specificity)


@pytest.mark.parametrize("wanted", [0.5, 0.9, 1.0])
def test_sensitive_point_is_the_strictest_that_suffices(wanted: float) -> None:
    positive, score = _scores(120, 1.2, 4)
    point = sensitive_point(positive, score, wanted)
    assert point.sensitivity >= wanted
    assert (score[positive] > point.threshold).mean() < wanted


def test_a_band_over_so_few_patients_that_replicates_lack_a_class():
    truth, score = np.array([True, False, False]), np.array([0.9, 0.2, 0.4])
    run = Run(truth[None], score[None], np.array(["a", "b", "c"]))
    found = band([run, run], np.random.default_rng(0))
    assert np.isfinite(found.low).all()
    assert (found.low <= found.high).all()


@pytest.mark.long
def test_a_band_does_not_depend_on_how_many_replicates_are_held_at_once(monkeypatch):
    whole = band(_runs(90, 3), np.random.default_rng(5))
    monkeypatch.setattr("equipoise.evaluation.roc._WEIGHTS_AT_ONCE", 90 * 7)
    pieces = band(_runs(90, 3), np.random.default_rng(5))
    np.testing.assert_array_equal(whole.low, pieces.low)
    np.testing.assert_array_equal(whole.high, pieces.high)
