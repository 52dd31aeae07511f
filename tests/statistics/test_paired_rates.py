"""Paired rates: Tango's score against a likelihood that is maximised by search, McNemar's test, and counts by hand."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics import judge
from equipoise.statistics.endpoints import at_threshold
from equipoise.statistics.paired_rates import score, tango

COUNTS = [(12, 2, 50), (0, 1, 44), (5, 5, 60), (9, 0, 20), (30, 18, 400)]


def searched_score(first: int, second: int, cases: int, difference: float) -> float:
    """The score statistic with the nuisance rate found by a search of the trinomial likelihood."""

    def loss(rate: float) -> float:
        rates = np.array([rate + difference, rate, 1 - 2 * rate - difference])
        counts = np.array([first, second, cases - first - second])
        used = counts > 0
        return float("inf") if (rates[used] <= 0).any() else -float(counts[used] @ np.log(rates[used]))

    low, high = max(0.0, -difference) + 1e-13, (1 - difference) / 2 - 1e-13
    rate = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    return (first - second - cases * difference) / np.sqrt(cases * (2 * rate + difference * (1 - difference)))


@pytest.mark.parametrize("counts", COUNTS)
def test_the_score_is_that_of_the_maximised_likelihood(counts: tuple[int, int, int]) -> None:
    for difference in (-0.3, -0.05, 0.02, 0.1, 0.4):
        assert score(*counts, difference) == pytest.approx(searched_score(*counts, difference), abs=2e-4)


@pytest.mark.parametrize("counts", COUNTS)
def test_the_interval_ends_where_the_score_refuses(counts: tuple[int, int, int]) -> None:
    low, high = tango(*counts)
    z = norm.ppf(0.975)
    assert searched_score(*counts, low) == pytest.approx(z, abs=2e-3)
    assert searched_score(*counts, high) == pytest.approx(-z, abs=2e-3)


def products(n: int = 160, cases_of_one: int = 1) -> tuple[Predictions, np.ndarray, np.ndarray]:
    """Two arms of one run each with their truth (n,) and scores of the positive class (2, n)."""
    rng = np.random.default_rng(3)
    truth = (rng.random(n) < 0.4).astype(int)
    score_of = np.clip(0.5 + np.array([[0.25], [0.15]]) * (2 * truth - 1) + 0.2 * rng.normal(size=(2, n)), 0, 1)
    case = np.array([f"c{i:03d}" for i in range(n)])
    patient = np.array([f"p{i // cases_of_one:03d}" for i in range(n)])
    made: dict[str, Any] = {
        "case": np.tile(case, 2), "patient": np.tile(patient, 2), "split": np.full(2 * n, "test"),
        "arm": np.repeat(["a", "b"], n), "fold": np.zeros(2 * n, int), "seed": np.zeros(2 * n, int),
        "truth": np.tile(truth, 2), "scores": np.stack([1 - score_of.ravel(), score_of.ravel()], axis=1),
        "classes": ("no", "yes"),
    }  # fmt: skip
    return Predictions(**made), truth == 1, score_of


def test_rates_at_a_threshold_are_counts_and_their_test_is_mcnemars() -> None:
    table, truth, scores = products()
    called = scores >= 0.35
    judged = judge(table, primary="sensitivity", secondary=("specificity", "ppv", "npv"), margin=0.1, networks=True,
                   custom=at_threshold(0.35))  # fmt: skip
    counted = {
        "sensitivity": called[:, truth].mean(axis=1), "specificity": (~called)[:, ~truth].mean(axis=1),
        "ppv": [truth[one].mean() for one in called], "npv": [(~truth)[~one].mean() for one in called],
    }  # fmt: skip
    for name, values in counted.items():
        assert [judged.endpoints[arm][name].estimate for arm in "ab"] == pytest.approx(list(values), abs=1e-12)
    for name, right in (("sensitivity", called[:, truth]), ("specificity", ~called[:, ~truth])):
        pair = next(one for one in judged.comparisons if one.endpoint == name)
        table_of = [[0, (right[0] & ~right[1]).sum()], [(right[1] & ~right[0]).sum(), 0]]
        assert pair.p == pytest.approx(mcnemar(table_of, exact=False, correction=False).pvalue, abs=1e-12)
        assert pair.about == "networks"
        assert pair.method.startswith("Tango")


def test_the_error_of_a_predictive_value_is_that_of_the_delta_method_by_weights() -> None:
    table, truth, scores = products(cases_of_one=2)
    judged = judge(table, primary="ppv", margin=None, networks=True, custom=at_threshold(0.35))
    called, step = (scores >= 0.35).astype(float), 1e-6
    patient = np.arange(len(truth)) // 2

    def difference(weight: np.ndarray) -> float:
        values = [(one * truth * weight).sum() / (one * weight).sum() for one in called]
        return float(values[0] - values[1])

    whole, n = difference(np.ones(len(truth))), patient.max() + 1
    influence = [(difference(1 + step * (patient == k)) - whole) / step for k in range(n)]
    assert judged.comparisons[0].se == pytest.approx(np.sqrt(np.sum(np.square(influence)) * n / (n - 1)), rel=1e-4)


def test_cases_of_one_patient_are_not_counted_as_independent() -> None:
    clustered = judge(products(cases_of_one=2)[0], primary="accuracy", margin=None, networks=True).comparisons[0]
    assert clustered.method.startswith("clustered")


def test_non_inferiority_follows_from_the_simultaneous_interval() -> None:
    table, _, _ = products()
    for margin in (0.01, 0.2):
        pair = judge(table, primary="auc", margin=margin, networks=True).comparisons[0]
        low, high = pair.simultaneous
        assert ("a" in pair.non_inferior) == (low > -margin)
        assert ("b" in pair.non_inferior) == (high < margin)
