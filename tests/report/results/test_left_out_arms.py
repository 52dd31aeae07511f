"""Arms that a recommendation leaves out: that they are named, and that one which may be better forbids a choice."""

from itertools import product
from typing import Any

import pytest

from equipoise.report import advise
from equipoise.report.results.left_out_arms import left_out_arms, rival_of
from equipoise.report.results.recommendation import recommend
from equipoise.report.text.reasons import in_words, sentence


def _arm(name: str, dice: float, latency: float = 1.0, parameters: int = 10, memory: float = 100.0) -> dict[str, Any]:
    cost = {"latency_ms": latency, "peak_memory_mb": memory}
    return {"name": name, "parameters": parameters, "endpoints": {"dice": {"estimate": dice}}, "cost": cost}


def _pair(a: str, b: str, verdict: str, difference: float = 0.0, **more: Any) -> dict[str, Any]:
    numbers = {"low": difference - 0.1, "high": difference + 0.1, "p_adjusted": 0.2}
    return {"a": a, "b": b, "verdict": verdict, "difference": difference} | numbers | more


RULE = _arm("mean-mask", 0.137)
# A trial of 14 patients: the smaller network is better in every point but memory, and misses significance narrowly.
ARMS = [_arm("unet", 0.4155, 42.7, 7_778_338, 1505.9), _arm("deeplab", 0.4439, 16.3, 258_066, 1509.9)]
BETWEEN = [_pair("unet", "deeplab", "not_enough_data", -0.0284, decisive=[-0.079, 0.022], p_adjusted=0.245)]
AGAINST = [
    _pair("unet", "mean-mask", "a_better", 0.278, decisive=[0.022, 0.534], p_adjusted=0.0345),
    _pair("deeplab", "mean-mask", "not_enough_data", 0.307, decisive=[-0.048, 0.572], p_adjusted=0.0835),
]
RESULTS = {
    "endpoints": {"primary": "dice", "higher_is_better": True},
    "arms": ARMS,
    "baselines": [RULE | {"display": "mean training mask"}],
    "comparisons": BETWEEN,
    "baseline_comparisons": AGAINST,
}


@pytest.mark.parametrize("need", ["accuracy", "speed", "balanced"])
def test_no_arm_is_named_over_one_with_the_better_estimate_that_narrowly_missed_the_baseline(need: str) -> None:
    advice = advise(RESULTS, need)
    assert (advice["arm"], advice["tied_with"]) == (None, ["unet", "deeplab"])
    assert advice["reason"] == (
        "Only unet was shown to be better than the mean training mask, but deeplab has the better estimate (0.444 "
        "against 0.415) and their comparison shows neither to be better (difference 0.028, interval -0.022 to 0.079, "
        "p = 0.245). That one test against the mean training mask is significant and the other is not does not make "
        "unet the better arm; more test patients can decide."
    )
    assert advice["left_out"] == [
        {
            "arm": "deeplab",
            "reason": "deeplab is left out: it was not shown to be better than the mean training mask (difference "
            "0.307, interval -0.048 to 0.572, p = 0.084).",
        }
    ]


def test_the_only_point_in_which_the_shown_arm_leads_still_names_it_and_the_other_beside_it() -> None:
    advice = advise(RESULTS, "memory")
    assert advice["arm"] == "unet"
    assert advice["reason"] == "It is the only arm that was shown to be better than the mean training mask."
    assert [one["arm"] for one in advice["left_out"]] == ["deeplab"]


@pytest.mark.parametrize(
    ("verdict", "estimate", "parameters", "between", "chosen"),
    [
        ("not_enough_data", 0.44, 10, "not_enough_data", None),  # better and as small: nothing speaks for the first
        ("refused", 0.44, 9, "not_enough_data", None),  # nothing is known of it
        ("b_better", 0.44, 9, "not_enough_data", "shown"),  # it was shown to be worse than the baseline
        ("equivalent", 0.44, 9, "not_enough_data", "shown"),  # it was shown to be no better
        ("not_enough_data", 0.40, 9, "not_enough_data", "shown"),  # its estimate is lower
        ("not_enough_data", 0.44, 11, "not_enough_data", "shown"),  # a tied arm of the same rank would cost more
        ("not_enough_data", 0.44, 11, "b_better", None),  # it was shown to be better than the arm itself
    ],
)
def test_when_an_arm_left_out_forbids_a_choice(
    verdict: str, estimate: float, parameters: int, between: str, chosen: str | None
) -> None:
    arms = [_arm("shown", 0.415), _arm("rival", estimate, parameters=parameters)]
    against = [_pair("shown", "mean-mask", "a_better"), _pair("rival", "mean-mask", verdict)]
    advice = recommend(arms, [RULE], [_pair("shown", "rival", between)], against, "dice", 1)["accuracy"]
    assert advice["arm"] == chosen
    assert [one["arm"] for one in advice["left_out"]] == ["rival"]


def test_the_choice_does_not_depend_on_the_order_of_arms_or_of_a_pair() -> None:
    turned = _pair("deeplab", "unet", "not_enough_data", 0.0284, decisive=[-0.022, 0.079], p_adjusted=0.245)
    texts = {
        sentence(recommend(arms, [RULE], [pair], AGAINST, "dice", 1)["accuracy"]["reason"])
        for arms, pair in product((ARMS, ARMS[::-1]), (BETWEEN[0], turned))
    }
    assert len(texts) == 1


def test_where_lower_is_better_the_rival_has_the_lower_value() -> None:
    arms = [_arm("shown", 9.0), _arm("rival", 8.0)]
    against = [_pair("shown", "mean-mask", "a_better"), _pair("rival", "mean-mask", "not_enough_data")]
    pairs = [_pair("shown", "rival", "not_enough_data", 1.0)]
    assert recommend(arms, [_arm("mean-mask", 20.0)], pairs, against, "dice", -1)["accuracy"]["arm"] is None
    assert rival_of(arms[1], left_out_arms([arms[0]], against, "x", 9), pairs, "dice", -1, lambda _: 1, False) is None


def test_a_slow_arm_is_named_with_the_limit_that_it_does_not_keep() -> None:
    advice = advise(
        RESULTS | {"baseline_comparisons": [AGAINST[0], AGAINST[1] | {"verdict": "a_better"}]}, "accuracy", 20
    )
    assert advice["arm"] == "deeplab"
    assert "was shown to be better than the mean training mask and answers within 20 ms" in advice["reason"]
    assert in_words(advice["left_out"]) == [
        {"arm": "unet", "reason": "unet is left out: it does not answer within 20 ms."}
    ]
