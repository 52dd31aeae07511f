import numpy as np
import pytest

from equipoise.statistics.binormal import Cohort, draw
from equipoise.statistics.influence import placements


def test_draws_have_the_stated_area_prevalence_and_correlations() -> None:
    made = draw(np.random.default_rng(0), 20_000, (0.85, 0.7), 2, 0.0, Cohort(prevalence=0.2, correlation=0.8))
    assert made.truth.mean() == pytest.approx(0.2, abs=0.01)
    areas = [placements(score, made.truth).auc for score in made.scores]
    assert areas == pytest.approx([0.85, 0.85, 0.7, 0.7], abs=0.01)
    within = np.corrcoef(made.scores[:, ~made.truth])
    assert within[0, 1] == pytest.approx(0.9, abs=0.01)
    assert within[0, 2] == pytest.approx(0.8, abs=0.01)
    assert np.bincount(made.patient).max() == 5


def test_cases_of_one_patient_hang_together() -> None:
    made = draw(np.random.default_rng(1), 20_000, (0.85,), 1, cohort=Cohort(most_lesions=2))
    first = np.flatnonzero((made.patient[1:] == made.patient[:-1]) & ~made.truth[1:] & ~made.truth[:-1])
    pairs = np.corrcoef(made.scores[0, first], made.scores[0, first + 1])
    assert pairs[0, 1] == pytest.approx(0.5, abs=0.03)


@pytest.mark.long
def test_runs_spread_by_the_seed_sd() -> None:
    made = draw(np.random.default_rng(2), 20_000, (0.8,), 40, 0.02, Cohort(most_lesions=1, correlation=0.99))
    areas = [placements(score, made.truth).auc for score in made.scores]
    assert np.std(areas, ddof=1) == pytest.approx(0.02, rel=0.3)


def test_the_generator_alone_decides() -> None:
    one, two = (draw(np.random.default_rng(7), 50, (0.8, 0.9), 2, 0.01) for _ in range(2))
    np.testing.assert_array_equal(one.scores, two.scores)
    np.testing.assert_array_equal(one.patient, two.patient)
