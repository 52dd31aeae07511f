"""Trials with known truth, judged by the product: the quick part of `benchmarks/verdict_sweep.py`."""

from dataclasses import replace

import numpy as np
import pytest

from equipoise.statistics.binormal import Cohort
from equipoise.statistics.families import Decision
from equipoise.testing.known_trials import (
    Counts,
    CrossValidated,
    Design,
    Distances,
    Failures,
    Scores,
    Values,
    analysed_trial,
    decided_trial,
    family_error,
    power_at_margin,
    rates,
    sample_size,
)

THREE = Design("three", (3, 3, 3), (0.01, 0.01, 0.01), Values())
WILD = (0.03, *[0.005] * 4)


@pytest.mark.parametrize(
    ("outcome", "endpoint"),
    [
        (Values(most_cases=3, skewed=True), "score"),
        (Values(step=0.1), "score"),
        (Distances(), "hd95"),
        (Failures(0.1), "dice"),
        (Counts(), "score"),
        (Scores(), "auc"),
        (Scores(), "brier"),
    ],
)
def test_every_kind_of_outcome_is_judged(outcome: object, endpoint: str) -> None:
    design = replace(THREE, outcome=outcome, endpoint=endpoint, patients=60, seeds=(3, 4, 5))
    decided = decided_trial(design, np.random.default_rng(0))
    assert len(decided) == 3
    arms = analysed_trial(design, np.random.default_rng(0)).arms
    assert arms.seeds.tolist() == [3, 4, 5]
    assert np.all(arms.seed_variance > 0)


def test_folds_test_every_patient_once() -> None:
    design = Design("folds", (3, 3), (0.0, 0.0), CrossValidated(), 100, "auc")
    analysis = analysed_trial(design, np.random.default_rng(0))
    tested = np.concatenate([fold.case for fold in analysis.panel.folds])
    assert sorted(tested.astype(int)) == list(range(100))
    (decided,) = decided_trial(design, np.random.default_rng(0))
    assert isinstance(decided, Decision)
    assert decided.candidate.new_data is not None


def test_a_large_difference_is_found_and_counted() -> None:
    found = rates(replace(THREE, margin=0.5, seeds=(3, 3, 3)), 5)
    assert found.power == 1.0
    assert found.judged == 1.0


def test_known_variances_give_the_textbooks_number_of_patients() -> None:
    """No spread between runs: n = (1.96 + 0.84)^2 x variance of a case's difference / difference^2."""
    design = Design("two", (10, 10), (0.0, 0.0), Values(), margin=0.01)
    variance = 2 * (0.02**2 + 0.03**2 / 10)
    assert sample_size(design) == pytest.approx((1.96 + 0.8416) ** 2 * variance / 0.01**2, rel=0.12)


@pytest.mark.long
@pytest.mark.parametrize(
    ("seeds", "spread"),
    [((3,) * 5, WILD), ((3, 10, 10), (0.03, 0.005, 0.005)), ((3,) * 5, (0.02, 0.02, *[0.007] * 3))],
)
def test_a_family_keeps_its_error_where_runs_spread_differently(
    seeds: tuple[int, ...], spread: tuple[float, ...]
) -> None:
    """Pooled after a test of equal spreads, these erred in .10 to .16."""
    assert family_error(Design("spreads", seeds, spread, Values()), 300) <= 0.09


@pytest.mark.long
def test_trials_with_the_patients_asked_for_find_the_difference() -> None:
    """Five arms: at the level of one comparison, .40 of the trials would have found it."""
    design = Design("five", (5,) * 5, (0.005,) * 5, Values(), margin=0.02)
    patients = sample_size(design)
    assert patients is not None
    assert 0.73 <= power_at_margin(replace(design, patients=patients), 150) <= 0.87


@pytest.mark.long
def test_folds_keep_their_error_and_their_coverage() -> None:
    """Intervals of the fitted networks alone miss the methods' difference in .11 to .17 of such trials."""
    design = Design("folds", (1, 1), (0.0, 0.0), CrossValidated(), 200, "auc", 0.05)
    assert rates(design, 100).coverage >= 0.93


@pytest.mark.long
@pytest.mark.parametrize("prevalence", [0.1, 0.3])
def test_areas_of_clustered_lesions_keep_the_error_of_the_family(prevalence: float) -> None:
    cohort = Cohort(prevalence=prevalence)
    design = Design("areas", (3, 3, 3), (0.01, 0.02, 0.0), Scores(cohort=cohort), 100, "auc", 0.05)
    assert family_error(design, 200) <= 0.1
