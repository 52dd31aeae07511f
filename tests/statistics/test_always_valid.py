"""Confidence sequences: the published boundary, their error under looks at every patient, and the price."""

import numpy as np
import pytest

from equipoise.statistics.always_valid import FEWEST, always_valid


def test_the_boundary_is_the_published_one():
    # sigma * sqrt(2 (t r^2 + 1) / (t^2 r^2) * log(sqrt(t r^2 + 1) / alpha)), with sigma / sqrt(t) as standard error
    t, alpha, tightest = 5_000_000, 0.05, 1_000
    rho = np.sqrt((-2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1) / tightest)
    expected = np.sqrt(2 * (t * rho**2 + 1) / (t**2 * rho**2) * np.log(np.sqrt(t * rho**2 + 1) / alpha))
    found = always_valid(0.0, 1 / np.sqrt(t), t, tightest)
    assert found.high == pytest.approx(expected, rel=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("skewed", [False, True])
def test_looks_at_every_patient_err_in_five_of_a_hundred_audits_and_fixed_intervals_far_more(skewed):
    generator = np.random.default_rng(3)
    audits, most = 1_000, 600
    draws = generator.normal(size=(audits, most))
    if skewed:
        draws = (draws**2 - 1) / np.sqrt(2) * 0.3 + generator.normal(size=(audits, most))
    n = np.arange(1, most + 1)
    mean = draws.cumsum(axis=1) / n
    variance = ((draws**2).cumsum(axis=1) - n * mean**2) / np.maximum(n - 1, 1)
    se = np.sqrt(variance / n)
    looks = np.arange(FEWEST, most + 1)
    width = np.array([always_valid(0.0, 1.0, int(look), 200).high for look in looks])
    sequence = (abs(mean[:, looks - 1]) > width * se[:, looks - 1]).any(axis=1).mean()
    fixed = (abs(mean[:, looks - 1]) > 1.96 * se[:, looks - 1]).any(axis=1).mean()
    assert sequence <= 0.06
    assert fixed > 0.2


def test_the_price_is_lowest_where_it_was_planned_to_be():
    prices = {n: always_valid(0.0, 1.0, n, 200).price for n in (20, 100, 200, 400, 5_000)}
    assert min(prices, key=prices.get) == 200
    assert 1.3 < prices[200] < 1.6


def test_too_few_patients_have_no_interval():
    assert always_valid(0.1, 0.1, FEWEST - 1, 100) is None
    assert always_valid(0.1, 0.1, FEWEST, 100) is not None
