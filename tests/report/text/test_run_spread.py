"""Numbers that stand in several places: the spread between training runs, the detectable difference and its guard."""

from typing import Any

from equipoise.report.text.checklist_facts import _guarded
from equipoise.report.text.plan_reasons import plan_assumptions
from equipoise.report.text.run_spread import NAME, spread_in_words
from equipoise.report.text.tables import _detectable
from equipoise.statistics.seed_spread import SeedSpread

SPREAD = SeedSpread(0.0, 4, run_sd=0.009, own_sd=0.017, own_df=13)
RESULTS: dict[str, Any] = {
    "endpoints": {"primary": "dice"},
    "variance": {"seed_sd": 0.0, "seed_df": 4, "seed_sd_ends": SPREAD.ends},
    "arms": [
        {"name": "unet", "endpoints": {"dice": {"seed_sd": 0.01122}}},
        {"name": "deeplab", "endpoints": {"dice": {"seed_sd": 0.00605}}},
        {"name": "failed", "endpoints": {}},
    ],
}


def test_a_spread_of_0_is_named_with_its_limit_and_beside_that_of_the_values() -> None:
    text = spread_in_words(RESULTS)
    assert text.startswith("Standard deviation between training runs, in addition to the variation between patients: 0")
    assert "4 degrees of freedom, pooled over arms; with 90 % confidence at most 0.0061" in text
    assert text.endswith("differently: unet 0.0112, deeplab 0.0060.") or "deeplab 0.0061" in text


def test_results_of_an_earlier_version_have_no_limit_and_audits_no_spread() -> None:
    old = RESULTS | {"variance": {"seed_sd": 0.02, "seed_df": 4}}
    assert "confidence" not in spread_in_words(old)
    assert spread_in_words(RESULTS | {"variance": None}) == ""


def test_a_plan_uses_the_same_name_and_limit() -> None:
    text = plan_assumptions(0.15, 0.85, None, 2.8, 0.8, 0.0, 4, False, 1, SPREAD.ends[1], ["first"])
    assert f"{NAME}, 0 (from earlier trials ('first') with 4 degrees of freedom, with 90 % confidence at most" in text


def test_a_detectable_difference_that_a_guard_sets_has_that_of_the_tests_beside_it() -> None:
    pairs = [{"detectable": 0.141, "detectable_by_tests": 0.076}, {"detectable": 0.2, "detectable_by_tests": 0.2}]
    assert [_detectable(pair) for pair in pairs] == ["0.141 (0.076 by the tests alone)", "0.200"]
    assert _detectable({"detectable": 0.2}) == "0.200"  # results of an earlier version
    assert "by the tests alone it would be 0.076." in _guarded(pairs)
    assert _guarded(pairs[1:]) == ""
