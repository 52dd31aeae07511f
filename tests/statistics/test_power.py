from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from equipoise.statistics.comparison import design
from equipoise.statistics.planning import plan
from equipoise.statistics.power import (
    FACTOR,
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

PARTS = Components(seed=1e-4, error=6e-5, patients=1.2e-4, n_patients=150, seed_df=4)


def test_power_is_that_of_a_t_test() -> None:
    """No patient terms: two means of five seeds each, 8 degrees of freedom."""
    alone = Components(seed=4e-4, error=0.0, patients=0.0, n_patients=100, seed_df=8)
    se = np.sqrt(2 * 4e-4 / 5)
    expected = TTestPower().power(effect_size=0.05 / se / np.sqrt(9), nobs=9, alpha=0.05, alternative="two-sided")
    assert power(alone, 100, 5, 0.05) == pytest.approx(expected, abs=1e-6)


def test_patients_needed_is_the_smallest_number_with_enough_power() -> None:
    for seeds in (3, 5, 10):
        raw = next(n for n in range(2, 5_000) if power(PARTS, n, seeds, 0.05) >= 0.8)
        assert patients_needed(PARTS, seeds, 0.05) == int(np.ceil(raw * FACTOR))


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
        detectable(parts, 2 * n, seeds) <= detectable(parts, n, seeds) * 1.01
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
    assert (parts.n_patients, parts.seed_df, parts.trained) == (120, 4, 2)
    rule = components(design(value[:4], covariance[:4, :4], ["a"] * 3 + ["b"], 120, {"b"}), 0, 1)
    assert rule.trained == 1


def test_rounding_claims_no_precision() -> None:
    assert [rounded(n, 1) for n in (7, 64, 1078, 95)] == [7, 60, 1000, 100]


@pytest.mark.parametrize(
    ("patients", "seeds", "sd", "simulated"),
    [(300, 3, 0.01, 0.97), (300, 5, 0.01, 1.0), (60, 3, 0.0, 0.60), (60, 3, 0.01, 0.45), (60, 3, 0.02, 0.26)],
)
def test_power_of_equivalence_is_the_simulated_one(patients: int, seeds: int, sd: float, simulated: float) -> None:
    """Shares of 600 simulated trials of equal arms, margin 0.05; the guarded standard error costs small trials some."""
    cases = {"no": 126 * patients // 60, "yes": 54 * patients // 60}
    found = plan(patients, cases, seeds, margin=0.05, spread=SeedSpread(sd, 0))
    assert found.equivalence_at_margin == pytest.approx(simulated, abs=0.08)
