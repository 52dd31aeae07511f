"""Equivalence near the end of the range: against published intervals, root finding, the t test, and by simulation."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logit

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.analysis import analyse
from equipoise.statistics.binormal import Cohort
from equipoise.statistics.comparison import equivalence_p
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.families import Decision, decisions
from equipoise.statistics.near_ends import ArmNearEnds, NearEnds, near_ends
from equipoise.statistics.pairs import compare_family
from equipoise.statistics.panel import align
from equipoise.statistics.verdict import Question
from equipoise.testing.known_trials import Design, Scores, analysed_trial, decided_trial

QUESTION = Question(0.1, 0.05, 0.95, "primary", frozenset(), patients_known=True, shared_seeds=False)
HIGH = NearEnds(ArmNearEnds(0.97, 0.012**2, 20), ArmNearEnds(0.95, 0.02**2, 20), 0.6, 199.0)


@pytest.mark.parametrize(
    ("first", "second", "published"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),  # Newcombe, Stat Med 17 (1998) 873-890, table II, method 10
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
    ],
)
def test_wilsons_ends_give_newcombes_published_intervals(
    first: tuple[int, int], second: tuple[int, int], published: tuple[float, float]
) -> None:
    arms = [ArmNearEnds(hits / cases, 0.0, cases) for hits, cases in (first, second)]
    assert NearEnds(*arms, 0.0, 1e9).interval(0.95) == pytest.approx(published, abs=6e-5)


def test_p_and_interval_are_those_found_by_a_root() -> None:
    def low(t: float) -> float:
        down = 0.97 - expit(logit(0.97) - t * 0.012 / (0.97 * 0.03))
        up = expit(logit(0.95) + t * 0.02 / (0.95 * 0.05)) - 0.95
        return float(0.02 - np.sqrt(down**2 + up**2 - 2 * 0.6 * down * up))

    assert HIGH.interval(0.9)[0] == pytest.approx(low(stats.t.ppf(0.95, 199)), abs=1e-9)
    root = brentq(lambda t: low(t) + 0.03, 0, 12)
    assert HIGH.p_worse(0.03) == pytest.approx(stats.t.sf(root, 199), rel=1e-3)
    assert HIGH.turned().interval(0.9) == pytest.approx([-end for end in HIGH.interval(0.9)[::-1]])


@pytest.mark.parametrize("margin", [0.025, 0.03, 0.06])
def test_the_interval_lies_inside_the_margin_exactly_where_the_p_is_small(margin: float) -> None:
    p = HIGH.p_equivalence(margin)
    wider, smaller = HIGH.interval(1 - 2 * p - 0.002), HIGH.interval(1 - 2 * p + 0.002)
    assert max(-wider[0], wider[1]) < margin < max(-smaller[0], smaller[1])


def test_far_from_the_ends_it_is_two_one_sided_t_tests() -> None:
    arms = ArmNearEnds(0.52, 1e-6, 500), ArmNearEnds(0.5195, 1e-6, 500)
    se = np.sqrt(2e-6 * (1 - 0.8))
    expected = stats.t.sf((0.002 - 0.0005) / se, 499)
    assert NearEnds(*arms, 0.8, 499.0).p_equivalence(0.002) == pytest.approx(expected, rel=0.02)


def test_a_difference_beyond_the_margin_has_a_p_above_one_half() -> None:
    assert 0.5 < HIGH.p_equivalence(0.015) < 1.0
    assert HIGH.p_worse(-0.02) == pytest.approx(0.5)


def test_a_perfect_arm_of_few_patients_is_not_known_without_error() -> None:
    perfect = NearEnds(ArmNearEnds(1.0, 0.0, 12), ArmNearEnds(0.999, 1e-7, 12), 0.0, 199.0)
    assert perfect.p_equivalence(0.05) > 0.05
    assert perfect.p_equivalence(0.9) < 1e-6


def test_larger_errors_are_those_of_fewer_patients() -> None:
    """Wilson's interval of 9 of 10, with errors twice as large, is that of a quarter of the cases."""
    wide = NearEnds(ArmNearEnds(0.9, 0.0, 40), ArmNearEnds(0.3, 0.0, 40), 0.0, 1e9).widened(2.0)
    assert wide.interval(0.95) == pytest.approx((0.1705, 0.8090), abs=6e-5)
    assert HIGH.widened(1.5).interval(0.5)[0] == pytest.approx(
        HIGH.interval(2 * stats.t.cdf(1.5 * stats.t.ppf(0.75, 199), 199) - 1)[0]
    )


def test_correlated_arms_at_the_end_never_gain_certainty_with_confidence() -> None:
    pair = NearEnds(ArmNearEnds(0.99, 0.01**2, 20), ArmNearEnds(0.97, 0.03**2, 20), 0.98, 199.0)
    lows = [pair.interval(level)[0] for level in np.linspace(0.1, 0.999, 40)]
    assert np.all(np.diff(lows) <= 0)


def test_rates_and_areas_are_judged_so_and_means_are_not(binary: Callable[..., Predictions]) -> None:
    table = binary(150, (0.9, 0.93))
    for name, expected in (("auc", True), ("accuracy", True), ("brier", False)):
        endpoint = endpoint_named(name, [], table.classes)
        analysis = analyse(align(table), endpoint, 1)
        assert (near_ends(analysis, "a", "b") is not None) == expected


def test_the_comparison_reports_the_wider_interval_and_the_larger_p() -> None:
    """The scores of both arms fail to separate a few of the same cases, so that runs add little."""
    design = Design("rare", (3, 3), (0.0, 0.0), Scores(0.95, Cohort(0.1, 0.9, most_lesions=1)), 200, "auc")
    analysis = analysed_trial(design, np.random.default_rng(1))
    (comparison,) = compare_family(analysis, design.pairs, QUESTION)
    (decided,) = decisions(analysis, design.pairs, QUESTION).values()
    assert isinstance(decided, Decision)
    ends = near_ends(analysis, *design.pairs[0])
    assert ends is not None
    (low, high), (own_low, own_high) = ends.interval(0.9), decided.candidate.contrast.interval(0.9)
    assert comparison.equivalence == (min(low, own_low), max(high, own_high)) != (own_low, own_high)
    assert comparison.p_equivalence == ends.p_equivalence(0.1) > equivalence_p(decided.candidate.contrast, 0.1)
    assert comparison.p_non_inferior >= ends.p_worse(0.1)


@pytest.mark.long
def test_an_area_near_one_with_few_events_is_seldom_called_equivalent_at_the_margin() -> None:
    """By symmetric intervals .10 of trials (standard error .02) called an arm equivalent that is worse by so much."""
    design = Design(
        "near one", (3, 3, 3), (0.005,) * 3, Scores(0.95, Cohort(0.1, most_lesions=1)), 200, "auc", margin=0.05
    )
    stream = np.random.default_rng(3)
    wrong = 0
    for _ in range(250):
        decided = decided_trial(design, stream, 0.05)[1:]  # the pairs with the last arm, which is worse
        wrong += any(isinstance(one, Decision) and one.verdict == "equivalent" for one in decided)
    assert wrong / 250 <= 0.06
