import numpy as np

from equipoise.evaluation.decision_curve import net_benefit

THRESHOLDS = np.array([0.05, 0.2, 0.5, 0.8])


def test_agrees_with_counting_by_hand() -> None:
    rng = np.random.default_rng(0)
    positive, probability = rng.random(300) < 0.3, rng.random(300).round(2)
    curve = net_benefit(positive, probability, THRESHOLDS)
    for index, threshold in enumerate(THRESHOLDS):
        tp = sum(p and q >= threshold for p, q in zip(positive, probability, strict=True))
        fp = sum(not p and q >= threshold for p, q in zip(positive, probability, strict=True))
        np.testing.assert_allclose(curve.model[index], (tp - fp * threshold / (1 - threshold)) / 300)


def test_a_perfect_model_gains_the_prevalence() -> None:
    positive = np.arange(10) < 3
    np.testing.assert_allclose(net_benefit(positive, positive.astype(float), THRESHOLDS).model, 0.3)


def test_acting_on_all_is_a_model_that_always_says_yes() -> None:
    positive = np.arange(10) < 3
    curve = net_benefit(positive, np.ones(10), THRESHOLDS)
    np.testing.assert_allclose(curve.model, curve.act_on_all)


def test_acting_on_all_breaks_even_at_the_prevalence() -> None:
    curve = net_benefit(np.arange(10) < 2, np.zeros(10), THRESHOLDS)
    np.testing.assert_allclose(curve.act_on_all[1], 0.0, atol=1e-12)
    np.testing.assert_allclose(curve.model, 0.0)
