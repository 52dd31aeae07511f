import re
from itertools import combinations

import pytest

from equipoise.errors import PredictionError
from equipoise.report.text.plans import plan_sentences
from equipoise.report.text.reasons import sentence
from equipoise.statistics.criterion import Criterion, criterion
from equipoise.statistics.planning import plan
from equipoise.statistics.seed_spread import SeedSpread, pooled_spread

# (patients, seed spread): detectable AUC differences with 3, 5 and 10 seeds, from a simulation of 20,000 patients
TABLE = {
    (60, 0.0): (0.057, 0.054, 0.051),
    (60, 0.02): (0.078, 0.066, 0.057),
    (150, 0.01): (0.045, 0.039, 0.035),
    (300, 0.01): (0.037, 0.031, 0.026),
    (300, 0.02): (0.062, 0.046, 0.035),
    (1000, 0.01): (0.031, 0.023, 0.018),
}


def classes(patients: int, prevalence: float = 0.3) -> dict[str, int]:
    positive = round(3 * patients * prevalence)
    return {"benign": 3 * patients - positive, "malignant": positive}


@pytest.mark.parametrize(("patients", "sd"), TABLE)
def test_detectable_differences_are_the_simulated_ones(patients: int, sd: float) -> None:
    for seeds, expected in zip((3, 5, 10), TABLE[patients, sd], strict=True):
        found = plan(patients, classes(patients), seeds, spread=SeedSpread(sd, 0)).detectable
        # The table has the pooled test's degrees of freedom; those estimated from three runs need up to a fifth more.
        assert 0.93 * expected <= found <= (1.23 if seeds == 3 else 1.07) * expected


@pytest.mark.parametrize(
    ("settings", "expected"), [({"correlation": 0.5}, 0.040), ({"correlation": 0.95}, 0.023), ({"auc": 0.95}, 0.024)]
)
def test_correlation_and_area_move_it_as_simulated(settings: dict[str, float], expected: float) -> None:
    assert plan(300, classes(300), 5, **settings).detectable == pytest.approx(expected, rel=0.07)


def test_fewer_events_detect_less() -> None:
    assert plan(150, classes(150, 0.1), 3).detectable == pytest.approx(0.058, rel=0.09)


def test_more_patients_and_more_seeds_buy_power() -> None:
    found = plan(120, {"benign": 150, "malignant": 60}, 3, margin=0.03)
    bought = {(p.factor, p.seeds): p.detectable for p in found.more}
    assert found.detectable == bought[1, 3] > bought[2, 3] > bought[4, 3]
    assert bought[1, 3] > bought[1, 5] > bought[1, 10]
    assert found.low < found.detectable < found.high
    assert found.power_at_margin is not None
    assert found.power_at_margin < 0.8
    text = " ".join(plan_sentences(found))
    assert "no number of patients is enough" in text
    assert "(this assumes a spread between training runs of 0.01, and the report will use the measured one)" in text


def test_known_seed_spreads_narrow_the_range() -> None:
    guess = plan(150, classes(150), 5)
    known = plan(150, classes(150), 5, spread=pooled_spread([SeedSpread(0.01, 10), SeedSpread(0.01, 30)]))
    assert known.detectable == pytest.approx(guess.detectable)
    assert known.high - known.low < guess.high - guess.low
    assert "40 degrees of freedom" in sentence(known.assumptions)
    assert "assumed: no earlier trial" in sentence(guess.assumptions)


def test_comparisons_share_the_error() -> None:
    four = criterion(list(combinations(range(4), 2)))
    assert plan(150, classes(150), 5, rule=four).detectable > plan(150, classes(150), 5).detectable


@pytest.mark.long
def test_folds_are_paid_for_before_training() -> None:
    """Five folds, three seeds: the fitted networks are told apart often, methods seldom; repeats correct it."""
    chances = []
    for rule in (Criterion(), Criterion(folds=5), Criterion(folds=5, repeats=5)):
        planned = plan(300, classes(300), 3, margin=0.04, rule=rule)
        chances.append(planned.power_at_margin)
        assert planned.as_fitted == (None if rule.folds == 1 else chances[0])
    assert chances[1] < chances[2] < chances[0]
    assert any(
        "With 5 folds" in words and f"{100 * chances[1]:.0f} %" in words
        for words in plan_sentences(plan(300, classes(300), 3, margin=0.04, rule=Criterion(folds=5)))
    )


def test_patients_needed_are_enough_for_a_verdict_at_all() -> None:
    """One patient in 15 has an event: ten events need 150 patients, however large the margin."""
    planned = plan(150, {"benign": 140, "malignant": 10}, 10, margin=0.3, spread=SeedSpread(0.005, 40))
    assert {entry.patients for entry in planned.needed} == {150}
    assert {entry.patients for entry in plan(50, {"x": 100}, 3, endpoint="dice", margin=0.5).needed} == {15}


@pytest.mark.parametrize("endpoint", ["accuracy", "brier", "nll", "average_precision", "sensitivity@0.9"])
def test_every_endpoint_can_be_planned(endpoint: str) -> None:
    found = plan(120, {"benign": 150, "malignant": 60}, 5, endpoint=endpoint, margin=0.05)
    assert 0.0 < found.detectable < 0.5


def test_segmentation_is_planned_from_the_spread_of_cases() -> None:
    """Dice spread 0.15, correlation 0.8, ten seeds, no seed spread: the edge of the test and .84 standard errors."""
    found = plan(400, {"tumour": 400}, 10, endpoint="dice", margin=0.02, spread=SeedSpread(0.0, 20))
    squared = (0.15**2 * 0.2 + 0.15**2 * 0.2 / 10) / 400
    # A difference must exceed what failures change that 400 patients without one do not exclude: 3/400 of the range.
    edge = max(1.96 * squared**0.5, 3 / 400)
    assert found.detectable == pytest.approx(edge + 0.8416 * squared**0.5, rel=0.03)


def test_a_test_set_too_small_for_any_verdict_is_told() -> None:
    for settings, words in (
        (((40, {"a": 35, "b": 5}, 3), {}), "Only 5 test cases of the rarest class"),
        (((20, {}, 3), {"endpoint": "dice"}), "Only 20 test cases: with fewer than 30 a mean Dice"),
        (((8, {"x": 40}, 3), {"endpoint": "dice"}), "Only 8 test patients"),
    ):
        assert plan_sentences(plan(*settings[0], **settings[1]))[0].startswith(words)
    assert "80 % power" in plan_sentences(plan(40, {"a": 20, "b": 20}, 3))[0]


def test_a_spread_seen_on_other_cohorts_is_said_to_be() -> None:
    found = plan(150, classes(150), 5, spread=SeedSpread(0.01, 12, elsewhere=True))
    assert "from earlier trials on other cohorts with 12 degrees of freedom" in sentence(found.assumptions)


@pytest.mark.parametrize(
    ("patients", "cases", "seeds"),
    [
        (10, {"a": 10, "b": 10}, 2),
        (10, {"a": 5, "b": 2}, 3),
        (10, {"a": 20, "b": 0}, 3),
        (10, {"a": 20}, 3),
        (10, {}, 3),
    ],
)
def test_what_cannot_be_planned_is_refused(patients: int, cases: dict[str, int], seeds: int) -> None:
    with pytest.raises(PredictionError, match="planned"):
        plan(patients, cases, seeds)


def test_a_per_case_metric_needs_no_classes_but_a_known_spread() -> None:
    assert (
        plan(100, {"tumour": 0, "core": 0}, 3, endpoint="dice_core").detectable
        == plan(100, {}, 3, endpoint="dice").detectable
    )
    with pytest.raises(PredictionError, match="hd95 of 100 patients cannot be planned"):
        plan(100, {}, 3, endpoint="hd95")


def test_a_difference_beyond_the_range_of_the_endpoint_is_not_called_detectable() -> None:
    few = plan(2, {"a": 1, "b": 1}, 3, spread=SeedSpread(0.1, 10))
    assert few.detectable > few.width == 1.0
    words = " ".join(plan_sentences(few))
    assert "no difference in AUC is large enough to be detected with 80 % power" in words
    assert "with 5 seeds, it is still larger than any possible one" in words
    assert not any(float(number) > 1 for number in re.findall(r"difference is (\d+\.\d+)", words))
