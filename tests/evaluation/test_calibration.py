import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from equipoise.errors import PredictionError
from equipoise.evaluation.calibration import calibration_error, reliability, sharpen, temperature


def _calibrated(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.random(n)
    return probability, rng.random(n) < probability


def test_bins_agree_with_scikit_learn() -> None:
    probability, positive = _calibrated(500)
    observed, predicted = calibration_curve(positive, probability, n_bins=10)
    bins = reliability(probability, positive, np.arange(500).astype(str))
    np.testing.assert_allclose([b.observed.estimate for b in bins], observed)
    np.testing.assert_allclose([b.predicted for b in bins], predicted)
    assert sum(b.n_rows for b in bins) == 500


def test_probability_one_belongs_to_the_last_bin() -> None:
    bins = reliability(np.array([1.0, 0.0]), np.array([True, False]), np.array(["a", "b"]))
    assert [(b.low, b.high) for b in bins] == [(0.0, 0.1), (0.9, 1.0)]


def test_error_is_the_weighted_gap() -> None:
    probability, positive = _calibrated(400)
    bins = reliability(probability, positive, np.arange(400).astype(str))
    expected = sum(b.n_rows * abs(b.observed.estimate - b.predicted) for b in bins) / 400
    assert calibration_error(probability, positive, np.random.default_rng(0)).estimate == pytest.approx(expected)


def test_bias_of_a_perfect_model_is_stated() -> None:
    inside = 0
    errors = []
    for seed in range(60):
        error = calibration_error(*_calibrated(100, seed), np.random.default_rng(seed), draws=200)
        errors.append((error.estimate, error.by_chance))
        inside += error.estimate <= error.chance_high
    mean = np.mean(errors, axis=0)
    assert mean[0] == pytest.approx(mean[1], rel=0.12)
    assert mean[0] > 0.05
    assert inside >= 50


def test_overconfidence_is_seen_above_chance() -> None:
    probability, positive = _calibrated(400)
    error = calibration_error(np.clip(2 * probability - 0.5, 0, 1), positive, np.random.default_rng(0))
    assert error.estimate > error.chance_high > error.by_chance > 0


@pytest.mark.parametrize("wrong", [1.2, -0.1, float("nan")])
def test_scores_that_are_no_probabilities_are_refused(wrong: float) -> None:
    with pytest.raises(PredictionError, match=r"probabilities in \[0, 1\]"):
        reliability(np.array([0.5, wrong]), np.array([True, False]), np.array(["a", "b"]))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powered = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powered / powered.sum(axis=1, keepdims=True)


@pytest.mark.long
@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_temperature_is_recovered(true_temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(20_000, 3))
    truth = np.array([rng.choice(3, p=row) for row in _softmax(logits)])
    found = temperature(_softmax(logits * true_temperature), truth)
    assert found == pytest.approx(true_temperature, rel=0.05)


@pytest.mark.long
def test_temperature_is_the_best_on_a_grid() -> None:
    rng = np.random.default_rng(1)
    scores = _softmax(3 * rng.normal(size=(200, 2)))
    truth = rng.integers(2, size=200)
    best = log_loss(truth, sharpen(scores, temperature(scores, truth)))
    for other in np.geomspace(0.06, 19, 40):
        assert best <= log_loss(truth, sharpen(scores, other)) + 1e-6


def test_certainty_and_zero_are_survived() -> None:
    scores = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert 0.05 <= temperature(scores, np.array([0, 1, 1])) <= 20
    np.testing.assert_allclose(sharpen(scores, 3.0).sum(axis=1), 1.0)


def test_no_validation_is_refused() -> None:
    with pytest.raises(PredictionError, match="needs validation predictions"):
        temperature(np.empty((0, 2)), np.empty(0, dtype=int))


def test_chances_that_are_drawn_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = np.random.default_rng(0)
    probability = stream.random(300)
    positive = stream.random(300) < probability
    whole = calibration_error(probability, positive, np.random.default_rng(1))
    monkeypatch.setattr("equipoise.evaluation.calibration._TOGETHER", 300 * 7)
    parts = calibration_error(probability, positive, np.random.default_rng(1))
    assert (parts.estimate, parts.by_chance) == pytest.approx((whole.estimate, whole.by_chance))
