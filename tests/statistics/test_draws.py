from itertools import combinations, product

import numpy as np
import pytest

from equipoise.statistics.draws import best_after, expected_ranks


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_best_after_is_the_mean_over_every_subset(k, lower):
    values = np.array([0.3, 0.1, 0.7, 0.7, 0.5])
    bests = np.array([(min if lower else max)(subset) for subset in combinations(values, k)])
    found = best_after(values, k, lower_is_better=lower)
    assert found.expected == pytest.approx(bests.mean())
    assert found.low == pytest.approx(np.quantile(bests, 0.1, method="inverted_cdf"))
    assert np.mean(bests >= found.high) >= 0.1
    assert found.low <= found.expected <= found.high or k == 5


def test_all_draws_leave_no_doubt():
    found = best_after(np.array([3.0, 1.0, 2.0]), 3, lower_is_better=True)
    assert (found.expected, found.low, found.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_expected_ranks_are_the_mean_over_every_pair_of_subsets(k):
    arms = [np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.5, 0.6]), np.array([0.4, 0.5, 0.5])]
    total, count = np.zeros(3), 0
    for chosen in product(*(combinations(values, k) for values in arms)):
        bests = np.array([min(subset) for subset in chosen])
        total += (
            1 + (bests[None, :] < bests[:, None]).sum(axis=1) + ((bests[None, :] == bests[:, None]).sum(axis=1) - 1) / 2
        )
        count += 1
    found = expected_ranks(arms, k, lower_is_better=True)
    assert found == pytest.approx(total / count)
    assert found.sum() == pytest.approx(6)


def test_the_best_arm_by_many_draws_may_not_be_the_best_by_one():
    sensitive, steady = np.array([0.1, 1.0, 1.0, 1.0]), np.array([0.3, 0.3, 0.3, 0.3])
    one = expected_ranks([sensitive, steady], 1, lower_is_better=True)
    four = expected_ranks([sensitive, steady], 4, lower_is_better=True)
    assert one[1] < one[0]
    assert four[0] < four[1]
