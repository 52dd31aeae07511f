import numpy as np
import pytest
from scipy.stats import rankdata

from equipoise.statistics.workloads import average_ranks, first_reached, friedman_p, profile, rank_differences, ranks

GROUPS = ["a"] * 3 + ["b"] * 3 + ["c"] * 3 + ["d"] * 3


def scores(effect, spread=1.0, seed=0, arms=5, workloads=12, runs=3):
    generator = np.random.default_rng(seed)
    made = spread * generator.normal(size=(workloads, arms, runs)) + generator.normal(size=(workloads, 1, 1))
    made[:, 0] += effect
    return made


@pytest.mark.parametrize("higher", [True, False])
def test_ranks_equal_scipys_and_ties_share(higher):
    values = np.random.default_rng(0).integers(0, 4, size=(20, 6)).astype(float)
    expected = rankdata(-values if higher else values, axis=1)
    assert np.array_equal(ranks(values, higher_is_better=higher), expected)


def test_average_ranks_sum_and_order():
    found = average_ranks(scores(5.0), GROUPS, higher_is_better=True)
    assert sum(one.rank for one in found) == pytest.approx(15)
    assert found[0].rank == 1.0
    assert found[0].first == 1.0
    assert (found[0].behind, found[0].behind_low, found[0].behind_high) == (0, 0, 0)
    assert all(one.behind_low > 0 for one in found[1:])
    assert all(one.low <= one.rank <= one.high for one in found)
    lower = average_ranks(-scores(5.0), GROUPS, higher_is_better=False)
    assert lower == found


def test_differences_of_pairs_are_those_behind_the_best():
    made = scores(1.0, seed=2)
    found, pairs = (f(made, GROUPS, higher_is_better=True) for f in (average_ranks, rank_differences))
    assert [(pair.a, pair.b) for pair in pairs] == [(a, b) for a in range(5) for b in range(a + 1, 5)]
    for pair in pairs[:4]:
        other = found[pair.b]
        assert pair.difference == pytest.approx(-other.behind)
        assert (pair.low, pair.high) == pytest.approx((-other.behind_high, -other.behind_low))
    assert all(pair.low <= pair.difference <= pair.high for pair in pairs)


@pytest.mark.long
def test_pairs_of_alike_arms_are_rarely_told_apart():
    found = [rank_differences(scores(0.0, seed=seed), GROUPS, higher_is_better=True) for seed in range(40)]
    assert np.mean([pair.low > 0 or pair.high < 0 for pairs in found for pair in pairs]) < 0.1


@pytest.mark.long
def test_alike_arms_are_not_told_apart_more_often_than_stated():
    """Over many studies without any difference, the interval of the best arm's lead over one given other."""
    wrong = sum(
        max(found, key=lambda one: one.rank).behind_low > 0 and friedman_p(made.mean(axis=2)) < 0.05
        for made in (scores(0.0, seed=seed) for seed in range(60))
        for found in [average_ranks(made, GROUPS, higher_is_better=True)]
    )
    assert wrong <= 9


def test_workloads_of_one_data_set_are_drawn_together():
    """Where the answer hangs on the data set, whole data sets must be drawn, so the interval is wide."""
    made = np.zeros((12, 2, 3))
    made[:6, 0], made[6:, 1] = 1.0, 1.0
    clustered = average_ranks(made, GROUPS, higher_is_better=True)[0]
    alone = average_ranks(made, [str(i) for i in range(12)], higher_is_better=True)[0]
    assert clustered.rank == alone.rank == 1.5
    assert clustered.high - clustered.low > 1.4 * (alone.high - alone.low)


def test_friedman_sees_a_difference_and_refuses_too_little():
    assert friedman_p(scores(3.0).mean(axis=2)) < 0.001
    assert friedman_p(scores(0.0, seed=3).mean(axis=2)) > 0.001
    assert np.isnan(friedman_p(np.zeros((2, 5))))
    assert np.isnan(friedman_p(np.ones((6, 5))))


def test_a_profile_is_the_share_within_a_factor_of_the_best():
    times = np.array([[1.0, 2.0, np.inf], [4.0, 2.0, 3.0], [np.inf, np.inf, np.inf]])
    found = profile(times, np.array([1.0, 1.5, 2.0, 100.0]))
    assert found[0] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert found[1] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert found[2] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_the_first_epoch_at_the_target():
    assert first_reached([0.9, 0.5, 0.6, 0.4], 0.5) == 2
    assert first_reached([0.9, float("nan")], 0.5) == float("inf")
