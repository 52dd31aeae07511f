from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from confidenceinterval import roc_auc_score as roc_auc_interval

from equipoise.statistics.binormal import draw
from equipoise.statistics.covariance import estimates
from equipoise.statistics.influence import Influence, mean_influence, rank_influence


def test_variance_of_an_area_is_confidenceintervals_delong() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(400) < 0.3
    score = generator.random(400) * 0.6 + 0.4 * truth * generator.random(400)
    found = estimates([rank_influence(score[None], truth, np.arange(400), 400)])
    auc, (low, high) = roc_auc_interval(truth.astype(int).tolist(), score.tolist(), method="delong")
    half = 1.959963984540054 * np.sqrt(found.covariance[0, 0])
    assert (found.value[0], found.value[0] - half, found.value[0] + half) == pytest.approx((auc, low, high), abs=1e-6)
    assert found.independent[0] == pytest.approx(found.covariance[0, 0], rel=1e-12)


@pytest.mark.long
def test_clustered_variance_of_an_area_is_near_the_jackknife() -> None:
    """Leave one patient out, literally: Obuchowski's variance agrees within 5 %."""
    ratios = []
    for seed in range(3):
        made = draw(np.random.default_rng(seed), 100, (0.85,), 1)
        found = estimates([rank_influence(made.scores, made.truth, made.patient, 100)])
        left_out = []
        for patient in range(100):
            keep = made.patient != patient
            left_out.append(rank_influence(made.scores[:, keep], made.truth[keep], made.patient[keep], 100).value[0])
        ratios.append(found.covariance[0, 0] / (99 / 100 * np.sum((left_out - np.mean(left_out)) ** 2)))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)


def test_clustered_variance_of_a_mean_is_statsmodels() -> None:
    generator = np.random.default_rng(1)
    patient = generator.integers(0, 40, 150)
    value = generator.standard_normal(150) + 0.5 * generator.standard_normal(40)[patient]
    present = len(np.unique(patient))
    found = estimates([mean_influence(value[None], (np.ones(150, dtype=bool),), patient, 45)])
    fit = sm.OLS(value, np.ones(150)).fit(cov_type="cluster", cov_kwds={"groups": patient, "use_correction": False})
    expected = float(fit.bse[0]) ** 2 * present / (present - 1)
    assert found.covariance[0, 0] == pytest.approx(expected, rel=1e-10)
    assert found.n_patients == present


def test_one_case_a_patient_has_no_design_effect() -> None:
    made = draw(np.random.default_rng(2), 200, (0.8,), 1)
    single = estimates([rank_influence(made.scores, made.truth, np.arange(len(made.truth)), len(made.truth))])
    assert single.covariance[0, 0] == pytest.approx(single.independent[0], rel=1e-12)
    clustered = estimates([rank_influence(made.scores, made.truth, made.patient, 200)])
    assert clustered.covariance[0, 0] > 1.1 * clustered.independent[0]


def test_folds_add_up_to_the_variance_of_their_mean() -> None:
    """Disjoint folds are independent: the variance of the mean is the sum over K squared."""
    made = draw(np.random.default_rng(3), 300, (0.85, 0.8), 2)
    parts, single = [], []
    for number in range(5):
        rows = made.patient % 5 == number
        part = rank_influence(made.scores[:, rows], made.truth[rows], made.patient[rows], 300)
        parts.append(part)
        single.append(estimates([part]).covariance)
    found = estimates(parts)
    np.testing.assert_allclose(found.covariance, np.sum(single, axis=0) / 25, rtol=1e-9)
    assert found.n_patients == 300
    assert found.by_fold.shape == (5, 4)
    np.testing.assert_allclose(found.value, found.by_fold.mean(axis=0))


def test_repeating_the_same_folds_adds_no_information() -> None:
    made = draw(np.random.default_rng(4), 100, (0.85,), 1)
    part: Influence = rank_influence(made.scores, made.truth, made.patient, 100)
    np.testing.assert_allclose(estimates([part, part]).covariance, estimates([part]).covariance, rtol=1e-12)


def test_folds_of_other_patients_with_unlike_parts_add_up() -> None:
    """As average precision: by its derivative where a fold has one positive patient, else by leaving out."""
    generator = np.random.default_rng(3)
    one, other = (draw_of_fold(generator, where) for where in (slice(0, 20), slice(20, 40)))
    apart = replace(other, parts=(other.total,), counts=(20,), sizes=(), levers=((other.total, np.ones(40)),))
    together = estimates([one, apart]).covariance
    assert together == pytest.approx((estimates([one]).covariance + estimates([apart]).covariance) / 4)


def draw_of_fold(generator: np.random.Generator, where: slice) -> Influence:
    """The influence on an area of 20 patients of 40, in two runs."""
    patient = np.arange(40)[where]
    truth = np.arange(20) % 2 == 0
    return rank_influence(generator.normal(size=(2, 20)) + truth, truth, patient, 40)
