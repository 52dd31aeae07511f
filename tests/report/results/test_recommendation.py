import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from equipoise.cli import main
from equipoise.errors import EquipoiseError
from equipoise.report import advise
from equipoise.report.results.recommendation import mark_pareto, recommend
from equipoise.report.text.reasons import sentence


def _entry(
    name: str, auc: float | None, latency: float = 1.0, parameters: int = 10, memory: float = 100.0
) -> dict[str, Any]:
    return {
        "name": name,
        "parameters": parameters,
        "endpoints": {"auc": {"estimate": auc}},
        "cost": {"latency_ms": latency, "peak_memory_mb": memory},
    }


def _pair(a: str, b: str, verdict: str) -> dict[str, Any]:
    return {"a": a, "b": b, "verdict": verdict}


RULE = _entry("size-rule", 0.80)
LAZY = _entry("majority-class", 0.50)


def test_a_trivial_rule_that_nobody_beats_is_recommended_for_everything() -> None:
    arms = [_entry("unet", 0.90), _entry("densenet", 0.95)]
    against = [_pair("unet", "size-rule", "not_enough_data"), _pair("densenet", "size-rule", "not_enough_data")]
    against += [_pair("unet", "majority-class", "a_better"), _pair("densenet", "majority-class", "a_better")]
    advice = recommend(arms, [LAZY, RULE], [_pair("unet", "densenet", "not_enough_data")], against, "auc", 1)
    assert {need: value["arm"] for need, value in advice.items()} == dict.fromkeys(
        ("accuracy", "speed", "balanced"), "size-rule"
    )
    assert advice["accuracy"]["beats_baseline"] is False


def test_where_no_comparison_with_the_rule_allows_a_verdict_nothing_is_recommended() -> None:
    arms = [_entry("unet", 0.95), _entry("densenet", 0.94)]
    against = [
        _pair(name, "size-rule", "single_run") | {"reason": "unet was trained once."} for name in ("unet", "densenet")
    ]
    advice = recommend(arms, [RULE], [], against, "auc", 1)
    assert {value["arm"] for value in advice.values()} == {None}
    assert "size-rule allows a verdict. unet was trained once." in sentence(advice["accuracy"]["reason"])
    mixed = [against[0], _pair("densenet", "size-rule", "not_enough_data")]
    assert recommend(arms, [RULE], [], mixed, "auc", 1)["accuracy"]["arm"] == "size-rule"


def test_of_undecided_arms_the_best_estimate_is_named_for_accuracy_and_the_cheapest_for_balance() -> None:
    """Undecided is not equal: what the data leave open, the smaller network has not won."""
    arms = [
        _entry("big", 0.95, parameters=900),
        _entry("small", 0.94, parameters=10),
        _entry("bad", 0.85, parameters=1),
    ]
    against = [_pair(name, "size-rule", "a_better") for name in ("big", "small", "bad")]
    pairs = [
        _pair("big", "small", "not_enough_data"),
        _pair("big", "bad", "a_better"),
        _pair("small", "bad", "a_better"),
    ]
    advice = recommend(arms, [RULE], pairs, against, "auc", 1)
    assert advice["accuracy"]["arm"] == "big"
    assert advice["accuracy"]["tied_with"] == ["small"]
    assert advice["accuracy"]["beats_baseline"] is True
    assert sentence(advice["accuracy"]["reason"]).endswith("nor that they are equivalent; big has the best estimate.")
    assert advice["balanced"]["arm"] == "small"
    assert advice["balanced"]["tied_with"] == ["big"]


def test_of_equivalent_arms_the_smallest_is_named_for_accuracy() -> None:
    arms = [_entry("big", 0.95, parameters=900), _entry("small", 0.94, parameters=10), _entry("open", 0.93)]
    against = [_pair(name, "size-rule", "a_better") for name in ("big", "small", "open")]
    pairs = [
        _pair("small", "big", "equivalent"),
        _pair("big", "open", "not_enough_data"),
        _pair("small", "open", "not_enough_data"),
    ]
    advice = recommend(arms, [RULE], pairs, against, "auc", 1)["accuracy"]
    assert (advice["arm"], advice["tied_with"]) == ("small", ["big", "open"])
    reason = sentence(advice["reason"])
    assert "do not show which of big and open is better" in reason
    assert "small is equivalent within the margin to big, which has the best estimate" in reason
    assert "of these it has the fewest parameters." in reason
    assert reason.index("equivalent within") < reason.index("do not show"), "what was shown comes first"
    two = recommend(arms[:2], [RULE], pairs[:1], against[:2], "auc", 1)["accuracy"]
    assert two["arm"] == "small"
    assert sentence(two["reason"]) == (
        "big and small are equivalent within the margin; of these it has the fewest parameters."
    )


def test_for_a_balance_the_pairs_with_a_verdict_are_told_before_the_others() -> None:
    """Of three arms that are not worse than the best, two were shown to be equivalent."""
    arms = [_entry("one", 0.972), _entry("two", 0.973), _entry("three", 0.961)]
    against = [_pair(arm["name"], "size-rule", "a_better") for arm in arms]
    pairs = [_pair("one", "two", "equivalent"), *(_pair(name, "three", "not_enough_data") for name in ("one", "two"))]
    reason = sentence(recommend(arms, [RULE], pairs, against, "auc", 1)["balanced"]["reason"])
    assert reason.startswith(
        "one and two are equivalent within the margin; of the other 2 pairs of one, two and three the data show "
        "neither which arm is better nor that they are equivalent; of all 3 arms it has the smallest product of "
    )


def test_speed_names_the_fastest_and_its_price() -> None:
    arms = [_entry("slow", 0.95, latency=9.0), _entry("fast", 0.85, latency=1.0)]
    against = [_pair(name, "size-rule", "a_better") for name in ("slow", "fast")]
    advice = recommend(arms, [RULE], [_pair("slow", "fast", "a_better")], against, "auc", 1)
    assert (advice["accuracy"]["arm"], advice["speed"]["arm"], advice["balanced"]["arm"]) == ("slow", "fast", "slow")
    assert "worse than the best arm" in sentence(advice["speed"]["reason"])


def test_an_arm_not_shown_better_than_the_rule_is_no_candidate() -> None:
    arms = [_entry("good", 0.95, parameters=900), _entry("unsure", 0.90, parameters=1, latency=0.1)]
    against = [_pair("good", "size-rule", "a_better"), _pair("unsure", "size-rule", "not_enough_data")]
    advice = recommend(arms, [RULE], [_pair("good", "unsure", "not_enough_data")], against, "auc", 1)
    assert {value["arm"] for value in advice.values()} == {"good"}


def test_lower_is_better_where_the_sign_says_so() -> None:
    arms = [_entry("worse", 0.3), _entry("better", 0.1)]
    against = [_pair("worse", "rule", "a_better"), _pair("better", "rule", "a_better")]
    advice = recommend(arms, [_entry("rule", 0.4)], [_pair("worse", "better", "b_better")], against, "auc", -1)
    assert advice["accuracy"]["arm"] == "better"


def test_the_accuracy_recommendation_does_not_hang_on_timing() -> None:
    chosen = set()
    for a, b in ((1.0, 2.0), (2.0, 1.0)):
        arms = [_entry("x", 0.95, latency=a, parameters=5), _entry("y", 0.94, latency=b, parameters=6)]
        against = [_pair(name, "size-rule", "a_better") for name in ("x", "y")]
        advice = recommend(arms, [RULE], [_pair("x", "y", "not_enough_data")], against, "auc", 1)
        chosen.add(advice["accuracy"]["arm"])
    assert chosen == {"x"}


def test_nothing_finished_recommends_nothing() -> None:
    advice = recommend([_entry("x", None)], [RULE], [], [], "auc", 1)
    assert advice["balanced"]["arm"] is None


def test_without_a_baseline_nothing_is_claimed_about_one() -> None:
    advice = recommend([_entry("x", 0.9)], [], [], [], "auc", 1)
    assert advice["accuracy"]["arm"] == "x"
    assert advice["accuracy"]["beats_baseline"] is None


def test_pareto_marks_what_no_other_arm_dominates() -> None:
    arms = [
        _entry("a", 0.9, latency=1),
        _entry("b", 0.95, latency=2),
        _entry("c", 0.85, latency=1.5),
        _entry("d", None),
    ]
    mark_pareto(arms, "auc", 1)
    assert [arm["cost"]["pareto"] for arm in arms] == [True, True, False, False]
    mark_pareto(twins := [_entry("a", 0.9), _entry("b", 0.9)], "auc", 1)
    assert [arm["cost"]["pareto"] for arm in twins] == [True, True]


def _results() -> dict[str, Any]:
    arms = [_entry("slow", 0.95, latency=9.0, memory=50.0), _entry("fast", 0.85, latency=1.0, memory=80.0)]
    return {
        "endpoints": {"primary": "auc", "higher_is_better": True},
        "arms": arms,
        "baselines": [RULE],
        "comparisons": [_pair("slow", "fast", "a_better")],
        "baseline_comparisons": [_pair(arm["name"], "size-rule", "a_better") for arm in arms],
    }


@pytest.mark.parametrize(
    ("prefer", "limit", "chosen"),
    [
        ("accuracy", None, "slow"),
        ("accuracy", 5.0, "fast"),
        ("speed", None, "fast"),
        ("memory", None, "slow"),
        ("memory", 5.0, "fast"),
        ("balanced", 9.0, "slow"),
        ("accuracy", 0.5, None),
    ],
)
def test_advice_for_one_need_and_a_latency_limit(prefer: str, limit: float | None, chosen: str | None) -> None:
    assert advise(_results(), prefer, limit)["arm"] == chosen


def test_a_limit_that_nobody_keeps_is_said() -> None:
    assert "within 0.5 ms" in advise(_results(), "accuracy", 0.5)["reason"]


def test_an_arm_whose_latency_is_unknown_keeps_no_limit() -> None:
    results = _results()
    results["arms"][1]["cost"]["latency_ms"] = None
    assert advise(results, "accuracy", 5.0)["arm"] is None


@pytest.mark.long
def test_the_command_names_the_arm_and_the_reason(
    make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(make_folder(patients=300))
    assert main(["advise", folder, "--prefer", "speed"]) == 0
    assert capsys.readouterr().out.startswith(
        "Use diameter rule. No arm was shown to be better than the trivial baseline diameter rule"
    )
    assert main(["advise", folder, "--prefer", "memory", "--max-latency-ms", "0.001", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["beats_baseline"], printed["next"], printed["notes"]) == (False, None, [])


def test_an_unknown_preference_is_refused() -> None:
    with pytest.raises(EquipoiseError, match="did you mean 'speed'"):
        advise(_results(), "sped")
