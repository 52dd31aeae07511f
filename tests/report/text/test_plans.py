"""Whether a verdict can come of a trial, in one sentence."""

from dataclasses import replace

import pytest

from equipoise.errors import PredictionError
from equipoise.report.text.plans import folds_instead, plan_sentences, prospect
from equipoise.statistics import planning
from equipoise.statistics.reasons import Reason

PLAN = planning.plan(200, {"cases": 200}, 5, endpoint="dice", margin=0.03)


def test_the_prospect_follows_from_power_and_equivalence() -> None:
    sure = replace(PLAN, power_at_margin=0.9, equivalence_at_margin=0.85)
    assert prospect(sure, None, []).startswith("A verdict is likely: with 200 test patients and 5 seeds, the power")
    assert "is possible:" in prospect(replace(sure, equivalence_at_margin=0.3), None, [])
    poor = prospect(replace(sure, power_at_margin=0.07, equivalence_at_margin=0.0), None, [])
    assert poor.startswith("A verdict is hardly possible")
    assert "(0.030 in Dice) is 7 %" in poor


def test_what_forbids_a_verdict_comes_first() -> None:
    few = replace(PLAN, warnings=(Reason("plan_of_few_patients", patients=7, fewest=10),))
    assert prospect(few, None, []) == (
        "No verdict is possible with this plan: only 7 test patients: with fewer than 10 no verdict is given."
    )
    refused = prospect(few, None, ["2 cases have problems.", "others"])
    assert refused == "No verdict is possible: a run would be refused, because 2 cases have problems."
    assert prospect(None, "its spread is not known", []).endswith(
        "whether a verdict is possible: its spread is not known."
    )


@pytest.mark.parametrize(
    ("patients", "seeds", "lacking"), [(1, 3, "1 test patient"), (40, 1, "1 seed"), (40, 2, "2 seeds")]
)
def test_a_plan_that_allows_none_says_so(patients: int, seeds: int, lacking: str) -> None:
    with pytest.raises(PredictionError) as refusal:
        planning.plan(patients, {"cases": patients}, seeds, endpoint="dice")
    said = prospect(None, str(refusal.value), [])
    assert said.startswith("No verdict is possible ")
    assert f"with {lacking}, so nothing can be planned" in said


def test_a_range_is_given_only_where_it_is_one() -> None:
    wide = replace(PLAN, detectable=0.05, low=0.04, high=0.07)
    assert "of 0.050 (0.040 to 0.070, because the spread between training runs" in " ".join(plan_sentences(wide))
    alike = replace(PLAN, detectable=0.2294, low=0.2293, high=0.22941)
    assert "a difference in Dice of 0.229." in " ".join(plan_sentences(alike))


def test_a_plan_names_the_guard_where_it_sets_the_detectable_difference() -> None:
    few = planning.plan(14, {"cases": 39}, 3, endpoint="dice", margin=0.03)
    assert few.detectable_by_tests is not None
    assert few.detectable > 3 / 14 > few.detectable_by_tests
    text = " ".join(plan_sentences(few))
    assert "14 test patients without a failure cannot exclude a failure rate of 21.4 %" in text
    assert f"by the tests alone it would be {few.detectable_by_tests:.3f}" in text
    areas = planning.plan(200, {"a": 100, "b": 100}, 3)  # no mean over cases: no guard
    assert areas.detectable_by_tests == areas.detectable
    assert "guard" not in " ".join(plan_sentences(areas))


def test_somebody_who_has_only_these_patients_is_told_of_folds() -> None:
    few = replace(PLAN, patients=30, power_at_margin=0.1, equivalence_at_margin=0.0)
    (line,) = folds_instead(few, 100, 5.7)
    assert line.startswith(
        'Without more patients: split.scheme = "kfold" with split.folds = 5 tests all 100 patients instead of 30, in '
        "about 6 times the time"
    )
    assert folds_instead(replace(few, folds=5), 100, 5.7) == []
    assert folds_instead(few, 30, 4.0) == []
    assert folds_instead(few, 3000, 5.7) == []
    assert folds_instead(replace(few, power_at_margin=0.9, equivalence_at_margin=0.9), 100, 5.7) == []
