"""The Bayesian reading: an oracle by sampling, calibration over data of the model itself, limits that must hold."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

from equipoise.statistics.posterior import (
    PRIOR_DIFFERENCE,
    PRIOR_LOG_SPREAD,
    PRIOR_SPREAD,
    Spread,
    _Mixture,
    posterior,
)


def drawn(generator, margin, seeds, patients, known):
    """Draw a true difference and what a trial of two arms sees of it."""
    truth = generator.normal(0, PRIOR_DIFFERENCE * margin)
    sigma = margin * PRIOR_SPREAD * np.exp(generator.normal(0, PRIOR_LOG_SPREAD, 2))
    runs = [generator.normal(0, np.sqrt(s**2 + known), seeds) for s in sigma]
    difference = truth + runs[0].mean() - runs[1].mean() + generator.normal(0, np.sqrt(patients))
    spreads = tuple(Spread(float(each.var(ddof=1)), known, seeds - 1, 1 / seeds) for each in runs)
    return truth, difference, spreads


@pytest.mark.long
@pytest.mark.parametrize(("seeds", "patients", "known"), [(3, 0.2, 0.02), (5, 0.05, 0.0), (10, 2.0, 0.3)])
def test_the_rank_of_the_truth_is_uniform(seeds, patients, known):
    generator = np.random.default_rng(seeds)
    ranks = []
    for _ in range(500):
        truth, difference, spreads = drawn(generator, 1.0, seeds, patients, known)
        ranks.append(_Mixture.of(difference, patients, spreads, 1.0).below(truth))
    assert kstest(ranks, "uniform").pvalue > 0.01


def test_it_equals_importance_sampling_from_the_prior():
    generator = np.random.default_rng(1)
    margin, difference, patients = 0.02, 0.03, 0.008**2
    spreads = (Spread(0.01**2, 0.003**2, 2, 1 / 3), Spread(0.006**2, 0.003**2, 4, 1 / 5))
    n = 400_000
    truth = generator.normal(0, PRIOR_DIFFERENCE * margin, n)
    variance = np.full(n, patients)
    log_weight = np.zeros(n)
    for spread in spreads:
        own = (margin * PRIOR_SPREAD * np.exp(generator.normal(0, PRIOR_LOG_SPREAD, n))) ** 2 + spread.known
        variance += spread.weight * own
        log_weight += -0.5 * spread.df * (np.log(own) + spread.square / own)
    weight = np.exp(log_weight - log_weight.max()) * norm.pdf(difference, truth, np.sqrt(variance))
    weight /= weight.sum()
    found = posterior(difference, patients, spreads, margin)
    assert found.above == pytest.approx(weight[truth > margin].sum(), abs=0.01)
    assert found.positive == pytest.approx(weight[truth > 0].sum(), abs=0.01)
    assert found.within == pytest.approx(weight[abs(truth) < margin].sum(), abs=0.01)


def test_with_spreads_known_it_is_the_textbook_normal():
    many = (Spread(0.25, 0.25, 100_000, 0.0),)
    found = posterior(1.0, 0.5, many, 1.0)
    prior = PRIOR_DIFFERENCE**2
    mean, sd = prior / (prior + 0.5), np.sqrt(prior * 0.5 / (prior + 0.5))
    assert (found.low, found.high) == pytest.approx((mean - 1.959964 * sd, mean + 1.959964 * sd), rel=1e-5)
    assert found.above == pytest.approx(norm.sf(1.0, mean, sd))


def test_turned_arms_turn_the_probabilities():
    spreads = (Spread(0.2, 0.1, 2, 1 / 3), Spread(0.4, 0.1, 2, 1 / 3))
    one, other = (posterior(sign * 0.7, 0.1, spreads, 1.0) for sign in (1, -1))
    assert (one.below, one.within, one.above) == pytest.approx((other.above, other.within, other.below))
    assert one.low == pytest.approx(-other.high)
    assert one.below + one.within + one.above == pytest.approx(1.0)


@pytest.mark.long
def test_the_unit_of_the_metric_changes_nothing():
    spreads = [tuple(Spread(u**2 * 0.2, u**2 * 0.1, 2, 1 / 3) for _ in range(3)) for u in (1.0, 1000.0)]
    one, other = posterior(0.7, 0.1, spreads[0], 1.0), posterior(700.0, 1e5, spreads[1], 1000.0)
    assert (one.above, one.positive) == pytest.approx((other.above, other.positive))
    assert other.high == pytest.approx(1000 * one.high)


@pytest.mark.parametrize("square", [0.0, 1e-12, 1e6])
def test_extreme_spreads_leave_finite_probabilities(square):
    found = posterior(0.5, 0.0, (Spread(square, 0.0, 2, 1 / 3), Spread(0.0, 0.0, 2, 1 / 3)), 1.0)
    assert np.isfinite([found.below, found.within, found.above, found.low, found.high]).all()
    assert found.low <= found.high
