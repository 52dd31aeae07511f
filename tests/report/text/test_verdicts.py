from typing import Any

import pytest

from equipoise.report.text import audit
from equipoise.report.text.verdicts import answers, pair_sentence

NAMES = {"a": "DenseNet", "b": "U-Net", "c": "DeepLab", "size-rule": "diameter rule"}


def _pair(a: str, b: str, verdict: str, difference: float | None = 0.012, needed: int | None = 387) -> dict[str, Any]:
    return {
        "a": a, "b": b, "verdict": verdict, "difference": difference, "low": -0.03, "high": 0.05, "margin": 0.03,
        "patients_needed": needed, "needed": [], "reason": "Only 4 test patients belong to the rarer class.",
    }  # fmt: skip


def _entry(name: str, estimate: float = 0.9) -> dict[str, Any]:
    return {"name": name, "endpoints": {"auc": {"estimate": estimate, "low": 0.8, "high": 0.95, "n_patients": 93}}}


def _results(pairs: list[dict[str, Any]], against: list[dict[str, Any]], chosen: str | None = "a") -> dict[str, Any]:
    beats = None if chosen is None else chosen != "size-rule"
    advice = {"arm": chosen, "tied_with": [], "beats_baseline": beats, "reason": "It stands alone."}
    arms = sorted({pair[side] for pair in pairs for side in ("a", "b")}) or ["a"]
    return {
        "endpoints": {"primary": "auc", "higher_is_better": True},
        "cohort": {"classes": {"benign": 1, "malignant": 2}},
        "arms": [_entry(name) for name in arms],
        "baselines": [_entry("size-rule", 0.85)],
        "comparisons": pairs,
        "baseline_comparisons": against,
        "recommendation": dict.fromkeys(("accuracy", "speed", "balanced"), advice),
    }


def test_a_pair_is_told_in_the_words_of_results_json() -> None:
    pair = _pair("a", "b", "not_enough_data") | {"reason": "a difference of -0.012 (95 % interval -0.030 to 0.006)"}
    assert pair_sentence(pair) == "a difference of −0.012 (95 % interval −0.030 to 0.006)"


def test_the_truth_stands_behind_a_recommendation() -> None:
    results = _results([_pair("a", "b", "not_enough_data")], [], "size-rule")
    results["cohort"] |= {
        "notes": ["Truth: the readers' ratings.", "Another note."],
        "excluded": [{"reason": "undecided", "cases": 1089, "patients": 400}],
    }
    use = answers(results, NAMES)[-1]
    assert use.answer == (
        "No network was shown to be better than the diameter rule, which costs nothing. Truth: the readers' ratings. "
        "Excluded beforehand: 1,089 cases (undecided)."
    )
    assert "not advice for any patient" in use.detail


def _three(*verdicts: str) -> list[dict[str, Any]]:
    return [
        _pair(*names, verdict) for names, verdict in zip((("a", "b"), ("a", "c"), ("b", "c")), verdicts, strict=True)
    ]


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (("not_enough_data",) * 3, "No arm can be called best with these 93 patients: none of the 3 differences"),
        (("a_better", "a_better", "not_enough_data"), "DenseNet is best: its AUC is higher"),
        (("b_better", "not_enough_data", "a_better"), "U-Net is best"),
        (
            ("a_better", "not_enough_data", "not_enough_data"),
            "No single arm is best, but DenseNet is better than U-Net.",
        ),
        (("equivalent",) * 3, "All arms are equivalent: every difference in AUC was shown to be smaller than 0.030."),
        (
            ("equivalent", "not_enough_data", "not_enough_data"),
            "DenseNet and U-Net are equivalent in AUC; 2 other pairs are undecided, so no arm can be called best with",
        ),
        (
            ("equivalent", "equivalent", "refused"),
            "DenseNet and U-Net are equivalent in AUC, DenseNet and DeepLab are equivalent in AUC; 1 comparison allows",
        ),
        (("a_better", "not_enough_data", "equivalent"), "DenseNet is better than U-Net; U-Net and DeepLab are equi"),
        (
            ("not_enough_data", "refused", "refused"),
            "no difference is distinguishable from chance, and 2 comparisons",
        ),
        (("single_run",) * 3, "Inconclusive"),
        (("refused",) * 3, "Inconclusive"),
    ],
)
def test_the_first_answer(verdicts: tuple[str, ...], words: str) -> None:
    assert words in answers(_results(_three(*verdicts), []), NAMES)[0].answer


def test_one_arm_and_two_arms() -> None:
    assert "only one arm" in answers(_results([], []), NAMES)[0].answer
    pair = _pair("a", "b", "not_enough_data")
    assert answers(_results([pair], []), NAMES)[0].answer == pair["reason"]


@pytest.mark.parametrize(("withheld", "bold"), [("a_better", 2), (None, 1)])
def test_a_long_verdict_is_bold_as_far_as_it_decides(withheld: str | None, bold: int) -> None:
    """Nine bold lines are read by nobody; what the terminal prints is whole."""
    sentences = [
        "The data do not show whether St. Anna or b has the better Dice: 0.538 against 0.495; p = 0.011.",
        "If St. Anna failed in 8.08 % of patients, the result would be reversed.", "The power is under 1 %.",
    ]  # fmt: skip
    pair = _pair("St. Anna", "b", "not_enough_data") | {"reason": " ".join(sentences), "withheld": withheld}
    first = answers(_results([pair], []), NAMES | {"St. Anna": "St. Anna"})[0]
    assert (first.answer, first.more) == (" ".join(sentences[:bold]), " ".join(sentences[bold:]))
    assert first.whole == pair["reason"]


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (("not_enough_data", "not_enough_data"), "No network was shown to be better than"),
        (("equivalent", "not_enough_data"), "No network was shown to be better than"),
        (("equivalent", "equivalent"), "No: every network is equivalent to the diameter rule, within 0.030 AUC."),
        (
            ("a_better", "not_enough_data"),
            "DenseNet is better than the diameter rule; not shown to be better: U-Net (+0.012, interval −0.030 to",
        ),
        (("a_better", "a_better"), "Yes, every network"),
        (("b_better", "a_better"), "DenseNet is worse than the diameter rule; U-Net is better than it."),
        (("refused", "single_run"), "Inconclusive: no comparison with the diameter rule reached a verdict."),
        (("b_better", "b_better"), "DenseNet and U-Net are worse than the diameter rule; no network was shown"),
    ],
)
def test_the_answer_on_the_trivial_rule(verdicts: tuple[str, str], words: str) -> None:
    against = [_pair("a", "size-rule", verdicts[0]), _pair("b", "size-rule", verdicts[1])]
    found = answers(_results([_pair("a", "b", "not_enough_data")], against), NAMES)
    assert found[1].question == "Is any network better than the diameter rule?"
    assert words in found[1].answer


def test_which_to_use() -> None:
    pairs = [_pair("a", "b", "not_enough_data")]
    assert "than the diameter rule, which costs nothing" in answers(_results(pairs, [], "size-rule"), NAMES)[-1].answer
    assert "DenseNet for accuracy, for speed" in answers(_results(pairs, [], "a"), NAMES)[-1].answer
    unjudged = answers(_results(pairs, [], None), NAMES)[-1]
    assert unjudged.answer.startswith("No recommendation can be given.")
    assert "It stands alone." in unjudged.answer
    empty = _results(pairs, [], None)
    for arm in empty["arms"]:
        arm["endpoints"] = {}
    assert answers(empty, NAMES)[-1].answer.startswith("None: no arm finished with a result.")
    several = _results(pairs, [], "a")
    several["recommendation"] = several["recommendation"] | {
        "speed": {**several["recommendation"]["speed"], "arm": "b"}
    }
    assert "DenseNet for accuracy, U-Net for speed" in answers(several, NAMES)[-1].answer


def test_a_recommendation_that_leaves_an_arm_out_names_it_with_its_reason() -> None:
    results = _results([_pair("a", "b", "not_enough_data")], [], "a")
    left_out = [{"arm": "b", "reason": "U-Net is left out: difference -0.012."}]
    advice = {**results["recommendation"]["accuracy"], "left_out": left_out}
    results["recommendation"] = dict.fromkeys(("accuracy", "speed", "balanced"), advice)
    use = answers(results, NAMES)[-1]
    assert "a balance of both. U-Net is left out: difference −0.012. The truth" in use.answer
    assert use.detail == "It stands alone."


def test_where_no_arm_is_named_the_answer_says_why_and_what_holds_for_other_needs() -> None:
    results = _results([_pair("a", "b", "not_enough_data")], [], None)
    speed = {"arm": "a", "tied_with": [], "beats_baseline": True, "reason": "It has the lowest latency."}
    results["recommendation"] = results["recommendation"] | {"speed": speed}
    use = answers(results, NAMES)[-1]
    assert use.answer.startswith("No recommendation can be given. It stands alone.")
    assert use.detail == "Speed: DenseNet. It has the lowest latency."


def test_an_undecided_arm_is_named_beside_one_that_is_worse_than_the_rule() -> None:
    verdicts = {"a": "b_better", "b": "a_better", "c": "refused"}
    against = [_pair(arm, "size-rule", verdict) for arm, verdict in verdicts.items()]
    rule = answers(_results(_three(*["not_enough_data"] * 3), against), NAMES | {"c": "Third"})[1].answer
    assert rule.startswith("DenseNet is worse than the diameter rule; U-Net is better than it; not shown to be better:")
    assert "Third" in rule


def test_a_difference_that_the_guard_withholds_is_not_called_chance() -> None:
    pair = {"a": "A", "b": "B", "verdict": "not_enough_data", "about": "networks", "withheld": "a_better"}
    advice = {"arm": None, "tied_with": ["A", "B"], "reason": "tied"}
    arms = [{"name": name, "endpoints": {"dice": {"estimate": 0.9}}} for name in "AB"]
    results = {
        "recommendation": {"accuracy": advice},
        "arms": arms,
        "endpoints": {"primary": "dice"},
        "comparisons": [pair],
    }
    answer = audit.use(results, {"A": "A", "B": "B"})
    assert "could undo what the tests alone find" in answer
    assert "chance" not in answer
    assert "chance" in audit.use(results | {"comparisons": [pair | {"withheld": None}]}, {"A": "A", "B": "B"})


def test_many_winners_are_counted_in_the_first_answer_and_the_unbeaten_named() -> None:
    letters = "abcdef"
    names = {one: one.upper() for one in letters}
    pairs = [
        _pair(a, b, "not_enough_data" if {a, b} == {"e", "f"} else "b_better")
        for place, a in enumerate(letters)
        for b in letters[place + 1 :]
    ]
    answer = answers(_results(pairs, [], None), names)[0].answer
    assert (
        answer == "No single arm is best: no arm was shown to be better than E and F; 14 of 15 differences were shown."
    )
