"""What stands beside p and interval of a comparison: the rule that made them, and why they may seem to disagree."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from equipoise.report.text.methods_statistics import _skewness
from equipoise.report.text.pair_methods import computed, method_in_words
from equipoise.report.text.tables import sentences
from equipoise.statistics.comparison import Error


def _pair(**more: Any) -> dict[str, Any]:
    numbers = {"low": 0.019, "high": 0.533, "p": 0.041, "p_adjusted": 0.084, "decisive": [-0.048, 0.572]}
    return {"a": "deeplab", "b": "mean-mask", "verdict": "not_enough_data", "reason": "Nothing.", **numbers} | more


METHOD = "Welch, wider with runs fixed, skewness corrected"


def test_a_small_p_beside_an_interval_that_holds_0_is_explained() -> None:
    words = computed(_pair(method=METHOD))
    assert "with the runs fixed" in words
    assert "stricter of Student’s and Hall’s t" in words
    assert "p = 0.041 and the interval 0.019 to 0.533 are of this comparison alone" in words
    assert "hold for all comparisons of its family together" in words


@pytest.mark.parametrize(
    "pair",
    [
        _pair(p=0.2, p_adjusted=0.4),  # both speak against a difference
        _pair(p_adjusted=0.04, decisive=[0.001, 0.5]),  # both speak for one
        _pair(p=None, p_adjusted=None, low=None, high=None, decisive=[None, None]),
    ],
)
def test_where_p_and_interval_agree_nothing_is_explained(pair: dict[str, Any]) -> None:
    assert computed(pair | {"method": ""}) == ""


def test_an_equivalence_names_the_tests_that_its_interval_is_of() -> None:
    pair = _pair(verdict="equivalent", p=0.03, p_adjusted=0.03, decisive=[-0.001, 0.02], decisive_level=0.98)
    assert "two one-sided tests of equivalence at 98 %" in computed(pair)


@pytest.mark.parametrize(
    "part",
    ["Welch", "crossed", "clustered, seeds fixed", "Tango score, seeds fixed", "Welch, wider for new training data"],
)
def test_every_method_has_words(part: str) -> None:
    assert method_in_words(part)
    assert method_in_words(f"{part}, skewness corrected") != method_in_words(part)


def test_a_table_of_comparisons_states_the_rule_of_each() -> None:
    results = {"endpoints": {"alpha": 0.05}, "baseline_comparisons": [_pair(method=METHOD)]}
    assert "Hall" in sentences(results, "baseline_comparisons")[0]["computed"]


def test_the_methods_paragraph_names_the_correction_where_it_was_used() -> None:
    results = {"comparisons": [_pair(method="Welch")], "baseline_comparisons": [_pair(method=METHOD)]}
    text = _skewness(results, lambda *keys: f"[{keys[0]}]")
    assert text.startswith("In 1 of 2 comparisons the patients' differences were skewed")
    assert "[hall]" in text
    assert _skewness(results | {"baseline_comparisons": []}, lambda *_: "") == ""


def test_the_stated_numbers_follow_from_the_stated_rule() -> None:
    # 0.3066, SE 0.1048, 13 df: Student alone gives p = .012; the long tail below makes it .041, with the interval
    # from 0.019 on. Student's p by scipy; Hall's transformation is inverted by its cubic root here.
    difference, se, df = 0.30661, 0.104818, 13.0
    plain = Error(se, df)
    assert plain.two_sided(difference) == pytest.approx(2 * student.sf(difference / se, df))
    assert 0.011 < plain.two_sided(difference) < 0.013
    skew = next(s for s in np.linspace(-0.01, -2, 2000) if Error(se, df, s).two_sided(difference) > 0.0407)
    corrected = Error(se, df, skew)
    t = difference / se
    cubic = ((1 + skew * t / 3) ** 3 - 1) / skew + skew / 6
    assert 2 * student.sf(cubic, df) == pytest.approx(corrected.two_sided(difference))
    assert corrected.interval(difference, 0.95)[0] == pytest.approx(0.019, abs=0.001)
