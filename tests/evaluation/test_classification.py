import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix
from statsmodels.stats.proportion import proportion_confint

from equipoise.errors import PredictionError
from equipoise.evaluation.classification import class_rates, clustered_rate, confusion, wilson


def test_confusion_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(4, size=300), rng.integers(4, size=300)
    np.testing.assert_array_equal(
        confusion(truth, predicted, 4), confusion_matrix(truth, predicted, labels=list(range(4)))
    )


def test_confusion_keeps_a_class_that_nobody_has() -> None:
    assert confusion(np.array([0, 2]), np.array([0, 0]), 3).tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_confusion_refuses_a_class_outside() -> None:
    with pytest.raises(PredictionError, match="predicted holds a class outside 0 to 1"):
        confusion(np.array([0, 1]), np.array([0, 2]), 2)


@pytest.mark.long
@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_agrees_with_statsmodels(hits: int, n: int) -> None:
    hits = min(hits, n)
    expected = proportion_confint(hits, n, method="wilson")
    np.testing.assert_allclose(wilson(hits / n, n), np.clip(expected, 0, 1), atol=1e-12)


def test_wilson_without_cases_is_undefined() -> None:
    assert np.isnan(wilson(0.5, 0)).all()


def test_one_case_per_patient_gives_nearly_the_plain_wilson_interval() -> None:
    hits = np.arange(200) < 150
    rate = clustered_rate(hits, np.arange(200).astype(str))
    np.testing.assert_allclose((rate.low, rate.high), wilson(0.75, 200), atol=2e-3)
    assert (rate.n_cases, rate.n_patients) == (200, 200)


def test_effective_size_is_that_of_the_clustered_variance() -> None:
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(60), 4)
    hits = rng.random(240) < np.repeat(rng.beta(2, 1, size=60), 4)
    rate = clustered_rate(hits, patient.astype(str))
    fit = sm.OLS(hits.astype(float), np.ones(240)).fit(
        cov_type="cluster", cov_kwds={"groups": patient, "use_correction": False}
    )
    variance = fit.cov_params()[0, 0] * 60 / 59
    effective = rate.estimate * (1 - rate.estimate) / variance
    assert effective < 200
    np.testing.assert_allclose((rate.low, rate.high), wilson(rate.estimate, effective), atol=1e-12)


def test_repeated_runs_do_not_pretend_to_be_more_patients() -> None:
    rng = np.random.default_rng(2)
    hits, patient = rng.random(80) < 0.8, np.arange(80).astype(str)
    once = clustered_rate(hits, patient)
    thrice = clustered_rate(np.tile(hits, 3), np.tile(patient, 3), np.repeat([0, 1, 2], 80))
    np.testing.assert_allclose((thrice.low, thrice.high), (once.low, once.high), atol=1e-12)
    assert (thrice.n_cases, thrice.n_patients) == (80, 80)


def test_runs_that_disagree_widen_the_interval() -> None:
    patient, run = np.tile(np.arange(100), 2).astype(str), np.repeat([0, 1], 100)
    steady = np.tile(np.arange(100) < 70, 2)
    torn = np.concatenate([np.arange(100) < 55, np.arange(100) < 85])
    a, b = clustered_rate(steady, patient, run), clustered_rate(torn, patient, run)
    assert a.estimate == b.estimate
    assert b.high - b.low > 1.5 * (a.high - a.low)


def test_unanimous_rows_keep_an_open_interval() -> None:
    rate = clustered_rate(np.ones(40, dtype=bool), np.repeat(np.arange(10), 4).astype(str))
    assert rate.estimate == 1.0
    np.testing.assert_allclose((rate.low, rate.high), wilson(1.0, 10))


def test_interval_covers_under_clustering() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        patient = np.repeat(np.arange(50), 3)
        hits = rng.random(150) < np.repeat(rng.beta(3, 1, size=50), 3)
        rate = clustered_rate(hits, patient.astype(str))
        covered += rate.low <= 0.75 <= rate.high
    assert covered / 300 > 0.91


def test_class_rates_are_the_diagonal_over_the_rows() -> None:
    rng = np.random.default_rng(4)
    truth, predicted = rng.integers(3, size=200), rng.integers(3, size=200)
    counts = confusion(truth, predicted, 4)
    rates = class_rates(truth, predicted, np.arange(200).astype(str), 4)
    for index in range(3):
        assert rates[index].estimate == pytest.approx(counts[index, index] / counts[index].sum())
    assert rates[3].n_cases == 0
    assert np.isnan(rates[3].estimate)
