from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from equipoise.statistics.comparison import design
from equipoise.statistics.criterion import Criterion, criterion
from equipoise.statistics.planning import plan
from equipoise.statistics.power import (
    Components,
    components,
    detectable,
    needed,
    patients_needed,
    power,
    rounded,
    seeds_needed,
)
from equipoise.statistics.seed_spread import SeedSpread

FIVE = list(combinations(range(5), 2))
PARTS = Components(seed=1e-4, error=6e-5, patients=1.2e-4, n_patients=150, seed_df=4)


def test_power_against_a_rule_is_that_of_a_t_test() -> None:
    """No patient terms and one trained arm: the mean of its seeds against a number, seeds - 1 degrees of freedom."""
    alone = Components(seed=4e-4, error=0.0, patients=0.0, n_patients=100, seed_df=8, trained=1)
    for seeds in (3, 5, 10):
        expected = TTestPower().power(effect_size=0.03 / 0.02, nobs=seeds, alpha=0.05, alternative="two-sided")
        assert power(alone, 10**6, seeds, 0.03) == pytest.approx(expected, abs=2e-3)


def test_power_of_two_arms_is_that_of_welchs_test() -> None:
    generator = np.random.default_rng(0)
    runs = generator.normal(0, 0.02, (2, 40_000, 4))
    p = stats.ttest_ind(runs[0] + 0.04, runs[1], axis=1, equal_var=False).pvalue
    parts = Components(seed=4e-4, error=0.0, patients=0.0, n_patients=100, seed_df=8)
    assert power(parts, 10**6, 4, 0.04) == pytest.approx(np.mean(p < 0.05), abs=0.01)


@pytest.mark.long
def test_patients_needed_is_the_smallest_number_with_enough_power() -> None:
    for rule in (Criterion(), criterion(FIVE)):
        for seeds in (5, 10):
            fewest = next(n for n in range(20, 5_000) if power(PARTS, n, seeds, 0.05, rule) >= 0.8)
            assert patients_needed(PARTS, seeds, 0.05, rule) == pytest.approx(fewest, rel=0.01)


def test_a_family_needs_more_patients_than_a_pair() -> None:
    alone, of_five = (patients_needed(PARTS, 10, 0.05, rule) for rule in (Criterion(), criterion(FIVE)))
    assert alone is not None
    assert of_five is not None
    assert of_five > 1.3 * alone


def test_no_number_is_below_that_of_a_verdict() -> None:
    """A difference of half the scale would be seen in two patients; the judgement refuses fewer than the floor."""
    for entry in needed(replace(PARTS, patient_df=149), 0.5, fewest=34):
        assert (entry.patients, entry.low) == (34, 34)


def test_the_pilots_own_patients_widen_the_range() -> None:
    known, guess = (needed(replace(PARTS, seed_df=400, patient_df=df), 0.05, seeds=[10])[0] for df in (0, 9))
    assert None not in (known.low, known.high, guess.low, guess.high)
    assert guess.low < known.low <= 1.1 * known.patients <= 1.2 * known.high < 1.2 * guess.high


def test_seeds_may_be_what_is_missing() -> None:
    assert patients_needed(PARTS, 3, 0.02) is None
    enough = seeds_needed(PARTS, 0.02)
    assert enough is not None
    assert patients_needed(PARTS, enough, 0.02) is not None
    assert patients_needed(PARTS, enough - 1, 0.02) is None
    assert seeds_needed(replace(PARTS, seed=1.0), 0.001) is None


@pytest.mark.long
@given(st.floats(1e-3, 0.05), st.floats(0, 1e-4), st.floats(0, 1e-3), st.integers(3, 10), st.integers(20, 5_000))
@settings(max_examples=60, deadline=None)
def test_detectable_difference_has_eighty_percent_power(
    sd: float, error: float, patients: float, seeds: int, n: int
) -> None:
    parts = Components(sd**2, error, patients, 100, 8)
    assert power(parts, n, seeds, detectable(parts, n, seeds)) == pytest.approx(0.8, abs=1e-4)
    assert (
        detectable(parts, 2 * n, seeds) <= detectable(parts, n, seeds) * 1.03
    )  # fewer patients, more degrees of freedom
    assert detectable(parts, n, seeds + 1) <= detectable(parts, n, seeds) * 1.01


def test_grid_has_a_range_around_its_estimate() -> None:
    for entry in needed(replace(PARTS, seed_df=20), 0.05):
        assert entry.patients is not None
        assert entry.low is not None
        assert entry.low <= entry.patients * 1.1
        assert entry.high is None or entry.high >= entry.patients * 0.9


def test_components_read_the_design() -> None:
    covariance = np.full((6, 6), 2e-4) + np.kron(np.eye(2), np.full((3, 3), 1e-4)) + np.eye(6) * 5e-5
    value = np.array([0.8, 0.82, 0.84, 0.7, 0.72, 0.74])
    parts = components(design(value, covariance, ["a"] * 3 + ["b"] * 3, 120), 0, 1)
    assert parts.error == pytest.approx(5e-5)
    assert parts.patients == pytest.approx(2e-4)
    assert parts.seed == pytest.approx(4e-4 - 5e-5)
    assert (parts.n_patients, parts.seed_df, parts.trained, parts.patient_df) == (120, 4, 2, 119)
    rule = components(design(value[:4], covariance[:4, :4], ["a"] * 3 + ["b"], 120, {"b"}), 0, 1)
    assert rule.trained == 1


def test_rounding_claims_no_precision() -> None:
    assert [rounded(n, 1) for n in (7, 64, 1078, 95)] == [7, 60, 1000, 100]


@pytest.mark.parametrize(
    ("patients", "seeds", "sd", "simulated"),
    [(300, 3, 0.01, 0.96), (300, 5, 0.01, 1.0), (60, 3, 0.0, 0.415), (60, 3, 0.01, 0.347), (60, 3, 0.02, 0.207)],
)
def test_power_of_equivalence_is_the_simulated_one(patients: int, seeds: int, sd: float, simulated: float) -> None:
    """Shares of 600 simulated trials of equal arms, margin 0.05; the arms' own intervals cost small trials much."""
    cases = {"no": 126 * patients // 60, "yes": 54 * patients // 60}
    found = plan(patients, cases, seeds, margin=0.05, spread=SeedSpread(sd, 0))
    assert found.equivalence_at_margin == pytest.approx(simulated, abs=0.08)


@pytest.mark.long
def test_an_area_needs_more_patients_than_one_that_is_as_high_in_both_arms() -> None:
    """The arm that is worse by the margin varies more: Hanley and McNeil's variance at .79 is 1.3 times that at .85."""
    cases = {"no": 140, "yes": 60}
    spread = SeedSpread(0.0, 0)
    by_margin = [plan(200, cases, 3, margin=margin, spread=spread).detectable for margin in (0.001, 0.06)]
    assert 1.02 < by_margin[1] / by_margin[0] < 1.2
    assert plan(200, cases, 3, endpoint="accuracy", margin=0.06, spread=spread).detectable == pytest.approx(
        plan(200, cases, 3, endpoint="accuracy", margin=0.001, spread=spread).detectable
    )


def test_power_that_falls_again_with_more_patients_still_has_patients_needed():
    """Of five arms with few runs, whose level is stricter once the runs dominate the error."""
    family = Criterion(pairs=tuple((a, b) for a in range(5) for b in range(a + 1, 5)), arms=5)
    parts = Components(5.3e-5, 0.0, 8.9e-3, 100, 8, 2, 99)
    assert power(parts, 1e6, 3, 0.04, family) < 0.8
    enough = patients_needed(parts, 3, 0.04, family)
    assert enough is not None
    assert power(parts, enough, 3, 0.04, family) >= 0.8 > power(parts, enough * 0.9, 3, 0.04, family)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_number_of_patients_lies_inside_its_range(seeds: int) -> None:
    for difference in (0.03, 0.04, 0.05, 0.07):
        for entry in needed(replace(PARTS, seed_df=400, patient_df=149), difference, seeds=[seeds]):
            if entry.patients is not None:
                assert entry.low is None or entry.low <= entry.patients
                assert entry.high is None or entry.patients <= entry.high
