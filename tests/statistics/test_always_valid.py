"""Confidence sequences: the published boundary, their error under looks at every patient, and the price."""

import numpy as np
import pytest
from scipy.special import stdtrit

import equipoise
from equipoise.errors import EquipoiseError
from equipoise.statistics.always_valid import FEWEST, price


def test_the_boundary_is_the_published_one():
    # sigma * sqrt(2 (t r^2 + 1) / (t^2 r^2) * log(sqrt(t r^2 + 1) / alpha)), with sigma / sqrt(t) as standard error
    t, alpha, tightest = 5_000, 0.05, 1_000
    rho = np.sqrt((-2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1) / tightest)
    expected = np.sqrt(2 * (t * rho**2 + 1) / (t**2 * rho**2) * np.log(np.sqrt(t * rho**2 + 1) / alpha))
    assert price(t, tightest, alpha) * 1.959964 / np.sqrt(t) == pytest.approx(expected, rel=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("alpha", [0.05, 0.10])
def test_looks_at_every_patient_err_as_promised_and_single_intervals_far_more(skewed, alpha):
    generator = np.random.default_rng(3)
    audits, most = 1_000, 600
    draws = generator.normal(size=(audits, most))
    if skewed:
        draws = (draws**2 - 1) / np.sqrt(2) * 0.3 + generator.normal(size=(audits, most))
    n = np.arange(1, most + 1)
    mean = draws.cumsum(axis=1) / n
    variance = ((draws**2).cumsum(axis=1) - n * mean**2) / np.maximum(n - 1, 1)
    looks = np.arange(FEWEST, most + 1)
    at = looks - 1
    t = abs(mean[:, at] / np.sqrt(variance[:, at] / n[at]))
    edges = stdtrit(looks - 1.0, 1 - alpha / 2)
    # priced at the loosest level, as the judgement does it
    sequence = (t > edges * np.array([price(int(look), 200) for look in looks])).any(axis=1).mean()
    single = (t > edges).any(axis=1).mean()
    assert sequence <= alpha + 0.01
    assert single > 4 * alpha


def test_the_price_is_lowest_where_it_was_planned_to_be_and_for_strict_tests():
    prices = {n: price(n, 200) for n in (20, 100, 200, 400, 5_000)}
    assert min(prices, key=prices.get) == 200
    assert 1.3 < prices[200] < 1.7
    assert price(200, 200, 0.05) < prices[200]
    assert price(200, 200, 0.005) < price(200, 200, 0.05)


def table(n, gain, seed=0):
    generator = np.random.default_rng(seed)
    base = generator.beta(20, 5, n)
    values = {"a": base, "b": np.clip(base + gain + 0.03 * generator.normal(size=n), 0.2, 1)}
    cases = [f"c{k}" for k in range(n)]
    return {
        "case": cases * 2, "patient": cases * 2, "arm": ["a"] * n + ["b"] * n, "seed": [0] * 2 * n,
        "dice": np.concatenate(list(values.values())),
    }  # fmt: skip


def test_an_audit_that_grows_pays_the_price_in_every_number():
    once, growing = (
        equipoise.audit(table(120, 0.04), "dice", margin=0.01, **more)["comparisons"][0]
        for more in ({}, {"growing": 200})
    )
    assert once["difference"] == growing["difference"]
    ratio = (growing["high"] - growing["low"]) / (once["high"] - once["low"])
    assert ratio == pytest.approx(price(120, 200), rel=0.02)
    assert growing["p"] > once["p"]
    assert "valid at every look" in growing["method"]


def test_too_few_patients_have_no_verdict_yet():
    (pair,) = equipoise.audit(table(FEWEST - 1, 0.1), "dice", margin=0.01, growing=100)["comparisons"]
    assert pair["verdict"] == "refused"


@pytest.mark.parametrize("growing", [0, -5])
def test_an_impossible_plan_is_refused(growing):
    with pytest.raises(EquipoiseError, match="number of patients"):
        equipoise.audit(table(60, 0.1), "dice", growing=growing)
