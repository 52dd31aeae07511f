"""Sample sizes from a pilot: an independent formula in the simple case, simulated trials in the others."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from equipoise.report.text.reasons import sentence
from equipoise.report.text.sample_size import grant_text
from equipoise.statistics.power import Components, needed, patients_needed
from equipoise.statistics.sample_size import NoSampleSize, SampleSize, sample_size
from equipoise.statistics.verdict import Question
from equipoise.testing.known_trials import Design, Scores, Values, analysed_trial, power_at_margin

PLAIN = Values()


def planned(
    design: Design, margin: float = 0.03, networks: bool = False, shift: float = 0.0, **settings: object
) -> SampleSize:
    question = Question(margin, 0.05, 0.95, "primary", frozenset(), True, False, networks=networks)
    analysis = analysed_trial(design, np.random.default_rng(0), shift)
    return sample_size(analysis, design.pairs, question, **settings)  # type: ignore[arg-type]


@pytest.mark.long
@pytest.mark.parametrize(("sd", "difference"), [(0.3, 0.05), (0.1, 0.04), (0.2, 0.1), (0.3, 0.02)])
@pytest.mark.parametrize("power", [0.8, 0.9])
def test_patients_alone_need_what_the_noncentral_t_says(sd: float, difference: float, power: float) -> None:
    """Two arms whose runs agree: the paired t test, n by the noncentral t; two patients, or .4 %, apart."""
    found = patients_needed(Components(0.0, 0.0, sd**2 / 100, 100, 4), 3, difference, chance=power)
    n = np.arange(round(0.8 * found), round(1.2 * found))  # type: ignore[operator]
    reached = stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, difference / sd * np.sqrt(n))
    assert found == pytest.approx(n[np.argmax(reached >= power)], abs=2, rel=0.004)


@pytest.mark.long
def test_it_is_the_judgements_own_number() -> None:
    """The exact patients of the pair that needs most, the range of `needed`, and the middle row of the table."""
    found = planned(Design("pilot", (4, 4, 4), (0.005, 0.005, 0.01), PLAIN, patients=60))
    assert found.comparisons == 3
    assert found.sensitivity[1.0] == tuple(need.patients for need in found.needed)
    for less, same, more in zip(*(found.sensitivity[factor] for factor in (0.75, 1.0, 1.25)), strict=True):
        assert less is not None
        assert same is None or less <= same
        assert more is None or (same is not None and same <= more)
    own = found.needed[0]
    assert own.low is not None
    assert own.patients is None or own.low <= own.patients
    assert needed(Components(0.0, 0.0, 9e-4, 100, 8), 0.05, chance=0.9)[0].patients == 380  # 285 at 80 %


@pytest.mark.long
def test_trained_networks_are_planned_with_one_run() -> None:
    found = planned(Design("pilot", (1, 1), (0.0, 0.0), PLAIN, patients=60), networks=True)
    assert [need.seeds for need in found.needed] == [1]
    text = grant_text(found, "Dice", "", "a pilot", "1").plain()
    assert "two trained networks" in text
    assert "Only patients are sampled" in text


def test_a_pilot_without_a_verdict_allows_no_planning() -> None:
    with pytest.raises(NoSampleSize) as error:
        planned(Design("pilot", (2, 2), (0.0, 0.0), PLAIN, patients=60))
    assert "2 finished training runs" in sentence(error.value.reason)


@pytest.mark.long
def test_the_paragraph_states_what_a_form_asks_for() -> None:
    found = planned(Design("pilot", (3, 3, 3), (0.01,) * 3, PLAIN, patients=80), power=0.9)
    text = grant_text(found, "Dice", "", "the trial 'pilot'", "1.2").plain()
    for words in (
        "primary endpoint is the Dice",
        "difference of 0.030",
        "power of 90 %",
        "level of 0.05",
        "family-wise",
    ):
        assert words in text
    for words in (
        "the trial 'pilot'",
        "standard deviations are",
        "80 patients",
        "3 runs of each arm",
        "+25 %",
        "Hillis",
    ):
        assert words in text
    assert "Equipoise 1.2" in text


@pytest.mark.slow
@pytest.mark.parametrize(("arms", "runs", "margin"), [(2, 3, 0.05), (4, 5, 0.06)])
def test_the_number_gives_the_power_that_was_asked_for(arms: int, runs: int, margin: float) -> None:
    """A large pilot of many runs, then 400 simulated trials of that size; .80 within .05, as in the long sweep.

    The pilot's last arm is worse by the difference, as in the planned trial; the pair with it needs most.
    """
    design = Design("planned", (runs,) * arms, (0.005,) * arms, Scores(), endpoint="auc", margin=margin)
    pilot = replace(design, seeds=(20,) * arms, patients=3_000)
    found = planned(pilot, margin, shift=margin, seeds=[runs])
    assert found.needed[0].patients is not None
    assert found.pair[1] == design.names[-1]
    assert power_at_margin(replace(design, patients=found.needed[0].patients), 400) == pytest.approx(0.8, abs=0.05)


@pytest.mark.long
def test_where_no_patients_are_enough_the_runs_that_would_be_are_said() -> None:
    """With the fewest runs some number of patients is enough, and with one run less none is."""
    design = Design("pilot", (3, 3), (0.03, 0.03), PLAIN, patients=80)
    plan = planned(design, seeds=(3,))
    assert plan.needed[0].patients is None
    runs = plan.fewest_seeds
    assert runs is not None
    enough, less = planned(design, seeds=(runs,)), planned(design, seeds=(runs - 1,))
    assert enough.needed[0].patients is not None
    assert less.needed[0].patients is None
    assert f"Some number is enough with {runs} runs or more" in grant_text(plan, "Dice", "", "a pilot", "1").plain()
    assert "Some number is enough" not in grant_text(enough, "Dice", "", "a pilot", "1").plain()
    never = replace(plan, fewest_seeds=None)
    assert "no number up to 200 runs would be enough" in grant_text(never, "Dice", "", "a pilot", "1").plain()
