from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from MLstatkit import Delong_test
from scipy.special import softmax
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from equipoise.errors import PredictionError
from equipoise.statistics import jackknife
from equipoise.statistics.endpoints import Endpoint, Kind, endpoint_named
from equipoise.statistics.influence import placements, rank_influence
from equipoise.statistics.panel import Fold


def fold(
    n: int = 60, classes: int = 2, patients: int = 25, columns: int = 2, seed: int = 0, decimals: int = 12
) -> Fold:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, n)
    truth[:classes] = np.arange(classes)
    logits = generator.standard_normal((columns, n, classes)) + 1.2 * np.eye(classes)[truth]
    scores = np.round(softmax(np.round(logits, 1), axis=2), decimals)
    dice = {"dice": generator.random((columns, n))}
    patient = np.concatenate([np.arange(patients), generator.integers(0, patients, n - patients)])
    return Fold(0, np.arange(n).astype(str), patient, truth, scores, dice)


def weighted(metric: Callable[..., float], **settings: object) -> Callable[..., float]:
    return lambda truth, score, weight: metric(truth, score, sample_weight=weight, **settings)


BINARY = {
    "auc": lambda t, s, w: roc_auc_score(t, s[:, 1], sample_weight=w),
    "average_precision": lambda t, s, w: average_precision_score(t, s[:, 1], sample_weight=w),
    "accuracy": lambda t, s, w: accuracy_score(t, s.argmax(1), sample_weight=w),
    "balanced_accuracy": lambda t, s, w: balanced_accuracy_score(t, s.argmax(1), sample_weight=w),
    "sensitivity": lambda t, s, w: recall_score(t, s.argmax(1), sample_weight=w),
    "specificity": lambda t, s, w: recall_score(t, s.argmax(1), pos_label=0, sample_weight=w),
    "brier": lambda t, s, w: brier_score_loss(t, s[:, 1], sample_weight=w),
    "nll": lambda t, s, w: log_loss(t, s, sample_weight=w),
}
SEVERAL = {
    "auc": lambda t, s, w: float(np.mean([roc_auc_score(t == c, s[:, c], sample_weight=w) for c in range(3)])),
    "average_precision": lambda t, s, w: float(
        np.mean([average_precision_score(t == c, s[:, c], sample_weight=w) for c in range(3)])
    ),
    "accuracy": BINARY["accuracy"],
    "balanced_accuracy": BINARY["balanced_accuracy"],
    "nll": BINARY["nll"],
    "brier": lambda t, s, w: float(np.average(((s - np.eye(3)[t]) ** 2).sum(1), weights=w)),
}
CASES = [(name, 2, metric) for name, metric in BINARY.items()] + [(name, 3, metric) for name, metric in SEVERAL.items()]


@pytest.mark.long
@pytest.mark.parametrize(("name", "classes", "metric"), CASES)
def test_value_and_influence_are_those_of_a_weighted_scikit_learn(
    name: str, classes: int, metric: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A patient's influence is the derivative of the metric by the weight of all the patient's cases."""
    monkeypatch.setattr(jackknife, "FEW_EVENTS_OF_A_PAIR", 0)
    data = fold(classes=classes)
    endpoint = endpoint_named(name, (), [str(c) for c in range(classes)])
    found = endpoint.influence(data, 1 if classes == 2 else None, 25)
    step = 1e-5
    for column, scores in enumerate(data.scores):
        assert found.value[column] == pytest.approx(metric(data.truth, scores, np.ones(60)), abs=1e-12)
        for patient in range(25):
            weight = np.where(data.patient == patient, step, 0.0)
            derivative = (metric(data.truth, scores, 1 + weight) - metric(data.truth, scores, 1 - weight)) / (2 * step)
            assert found.total[column, patient] == pytest.approx(derivative, abs=1e-6)


@pytest.mark.long
@given(st.integers(0, 10_000), st.sampled_from(sorted(BINARY)), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_influence_sums_to_zero(seed: int, name: str, decimals: int) -> None:
    data = fold(n=40, patients=12, seed=seed, decimals=decimals)
    found = endpoint_named(name, (), ["0", "1"]).influence(data, 1, 12)
    np.testing.assert_allclose(found.total.sum(axis=1), 0.0, atol=1e-10)
    for part in found.parts:
        np.testing.assert_allclose(part.sum(axis=1), 0.0, atol=1e-10) if name != "average_precision" else None


@pytest.mark.parametrize("specificity", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("decimals", [1, 12])
def test_sensitivity_at_specificity_is_the_roc_curves(specificity: float, decimals: int) -> None:
    data = fold(n=400, patients=400, decimals=decimals, seed=3)
    found = endpoint_named(f"sensitivity@{specificity}", (), ["0", "1"]).influence(data, 1, 400)
    for value, scores in zip(found.value, data.scores, strict=True):
        false, true, _ = roc_curve(data.truth, scores[:, 1], drop_intermediate=False)
        assert value == pytest.approx(true[false <= 1 - specificity + 1e-9].max(), abs=1e-12)
    np.testing.assert_allclose(found.total.sum(axis=1), 0.0, atol=1e-10)


@pytest.mark.long
def test_variance_of_sensitivity_at_specificity_is_the_spread_over_samples() -> None:
    """The moving threshold makes the spread larger than that of a proportion; the influence must see it."""
    generator, values, variances = np.random.default_rng(0), [], []
    patient = np.arange(400)
    truth = (patient % 2).astype(np.int64)
    endpoint = endpoint_named("sensitivity@0.9", (), ["0", "1"])
    for _ in range(600):
        score = generator.standard_normal(400) + 1.2 * truth
        data = Fold(0, patient.astype(str), patient, truth, np.stack([-score, score], axis=1)[None], {})
        found = endpoint.influence(data, 1, 400)
        values.append(found.value[0])
        variances.append((found.total[0] ** 2).sum())
    proportion = np.mean(values) * (1 - np.mean(values)) / 200
    assert np.var(values) > 1.5 * proportion
    assert np.mean(variances) == pytest.approx(np.var(values), rel=0.15)


@pytest.mark.long
def test_a_users_pooled_metric_gets_the_influence_of_the_built_in_one() -> None:
    data = fold(n=90, patients=40, seed=5)
    user = Endpoint("mine", Kind.POOLED, compute=lambda truth, scores: float(roc_auc_score(truth, scores[:, 1])))
    mine = user.influence(data, 1, 40)
    ours = endpoint_named("auc", (), ["0", "1"]).influence(data, 1, 40)
    np.testing.assert_allclose(mine.value, ours.value, atol=1e-12)
    assert np.corrcoef(mine.total[0], ours.total[0])[0, 1] > 0.99
    spread = [(u.total[0] ** 2).sum() for u in (mine, ours)]
    assert spread[0] == pytest.approx(spread[1], rel=0.1)


def test_many_patients_are_left_out_in_groups() -> None:
    data = fold(n=900, patients=900, seed=6)
    calls = []

    def counted(truth: np.ndarray, scores: np.ndarray) -> float:
        calls.append(len(truth))
        return float((scores.argmax(1) == truth).mean())

    found = Endpoint("mine", Kind.POOLED, compute=counted).influence(data, None, 900)
    assert len(calls) == 2 * (1 + 200 + 100)  # of all, without each group, on halves
    exact = endpoint_named("accuracy", (), ["0", "1"]).influence(data, None, 900)
    assert (found.total[0] ** 2).sum() == pytest.approx((exact.total[0] ** 2).sum(), rel=0.3)


def test_a_pooled_metric_that_returns_nan_is_named() -> None:
    broken = Endpoint("mine", Kind.POOLED, compute=lambda truth, scores: float("nan"))
    with pytest.raises(PredictionError, match="'mine' returned nan"):
        broken.influence(fold(), 1, 25)


def test_an_endpoint_without_column_or_function_is_named() -> None:
    with pytest.raises(PredictionError, match="'lost' has no column in the predictions and no function"):
        Endpoint("lost", Kind.MEAN).influence(fold(), 1, 25)


def test_one_class_only_is_refused_in_a_sentence() -> None:
    data = fold()
    alone = Fold(0, data.case, data.patient, np.zeros_like(data.truth), data.scores, {})
    with pytest.raises(PredictionError, match="no test case of fold 0"):
        endpoint_named("auc", (), ["0", "1"]).influence(alone, 1, 25)


def test_independent_variance_is_delongs() -> None:
    generator = np.random.default_rng(2)
    truth = generator.random(300) < 0.3
    scores = np.round(generator.standard_normal((2, 300)) + truth, 1)
    found = rank_influence(scores, truth, np.arange(300), 300)
    z, _ = Delong_test(truth.astype(int), scores[0], scores[1])[:2]
    parts = [part[0] - part[1] for part in found.parts]
    variance = sum(float((p**2).sum()) * c / (c - 1) for p, c in zip(parts, found.counts, strict=True))
    assert abs((found.value[0] - found.value[1]) / np.sqrt(variance)) == pytest.approx(abs(z), abs=1e-9)


def all_pairs(score: np.ndarray, positive: np.ndarray) -> tuple[float, np.ndarray]:
    """All pairs, literally."""
    value = np.empty(len(score))
    for k in range(len(score)):
        others = score[positive != positive[k]]
        wins = (others < score[k]) if positive[k] else (others > score[k])
        value[k] = wins.mean() + (others == score[k]).mean() / 2
    return float(value[positive].mean()), value


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(2, 40))
    score = draw(hnp.arrays(np.float64, n, elements=st.integers(0, 12).map(float)))
    positive = draw(hnp.arrays(np.bool_, n))
    positive[0], positive[1] = True, False
    return score, positive


@pytest.mark.long
@given(scored())
@settings(max_examples=200, deadline=None)
def test_placements_equal_all_pairs_with_ties(data: tuple[np.ndarray, np.ndarray]) -> None:
    score, positive = data
    found, (auc, value) = placements(score, positive), all_pairs(score, positive)
    np.testing.assert_allclose(found.value, value, atol=1e-12)
    assert found.auc == pytest.approx(auc, abs=1e-12)


@pytest.mark.long
@given(scored())
@settings(max_examples=100, deadline=None)
def test_a_monotone_transform_changes_nothing_and_a_reversal_mirrors(data: tuple[np.ndarray, np.ndarray]) -> None:
    score, positive = data
    found = placements(score, positive)
    np.testing.assert_array_equal(placements(np.exp(score / 3) - 7, positive).value, found.value)
    assert placements(-score, positive).auc == pytest.approx(1 - found.auc, abs=1e-12)


@pytest.mark.parametrize("decimals", [1, 2, 15])
def test_area_is_scikit_learns(decimals: int) -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(3_000) < 0.2
    score = np.round(generator.standard_normal(3_000) + positive, decimals)
    assert placements(score, positive).auc == pytest.approx(roc_auc_score(positive, score), abs=1e-12)


def test_both_placement_means_are_the_area() -> None:
    generator = np.random.default_rng(1)
    positive = generator.random(501) < 0.4
    found = placements(np.round(generator.standard_normal(501) + positive, 1), positive)
    assert found.value[positive].mean() == pytest.approx(found.auc, abs=1e-12)
    assert found.value[~positive].mean() == pytest.approx(found.auc, abs=1e-12)
