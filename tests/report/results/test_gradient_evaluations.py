import pytest

from equipoise.report.results.gradient_evaluations import cheaper_trained, counts_of, unequal_evaluations
from equipoise.report.results.recommendation import recommend
from equipoise.report.text.methods import budget_in_words
from equipoise.report.text.reasons import sentence


def entry(name, auc, evaluations, latency=1.0):
    cost = {"latency_ms": latency, "peak_memory_mb": 1.0}
    cost |= {} if evaluations is None else {"gradient_evaluations": evaluations}
    return {"name": name, "parameters": 10, "endpoints": {"auc": {"estimate": auc}}, "cost": cost}


ADAM, MINE, NNUNET = entry("adam", 0.7, 1.0), entry("mine", 0.9, 40.0), entry("nnunet", 0.8, None)


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ([ADAM, MINE], ["unequal: mine used 40 gradient evaluations for each update, adam 1, so a difference may be"]),
        ([entry("lbfgs", 0.7, 18.26), MINE, ADAM], ["mine used 40 gradient evaluations for each update, lbfgs 18.3, "]),
        ([ADAM, NNUNET], []),
        ([entry("a", 0.7, 1.004), ADAM], []),
        ([NNUNET], []),
        ([], []),
    ],
)
def test_unequal_numbers_of_gradients_are_told(arms, words):
    texts = [sentence(reason) for reason in unequal_evaluations(counts_of(arms))]
    assert len(texts) == len(words)
    assert all(part in text for part, text in zip(words, texts, strict=True))
    assert ("equal budget of epochs" in budget_in_words([arm | {"model": "x"} for arm in arms])) == (not words)


def test_an_arm_that_was_given_more_gradients_is_recommended_for_no_cost():
    rule = entry("rule", 0.5, None)
    # That adam did not beat the rule may be due to its budget.
    against = [
        {"a": "mine", "b": "rule", "verdict": "a_better"},
        {"a": "adam", "b": "rule", "verdict": "not_enough_data"},
    ]
    pairs = [{"a": "adam", "b": "mine", "verdict": "b_better"}]
    advice = recommend([ADAM, MINE], [rule], pairs, against, "auc", 1)
    assert {need: one["arm"] for need, one in advice.items()} == {"accuracy": "mine", "speed": None, "balanced": None}
    assert sentence(advice["speed"]["reason"]) == (
        "mine used 40 gradient evaluations for each update, adam 1: arms of unequal budgets are not ranked by cost."
    )
    equal = recommend([ADAM, entry("mine", 0.9, 1.0)], [rule], pairs, against, "auc", 1)
    assert {one["arm"] for one in equal.values()} == {"mine"}


def test_an_arm_with_the_fewest_gradients_may_be_recommended_for_its_cost():
    both = [{"a": name, "b": "rule", "verdict": "a_better"} for name in ("mine", "adam")]
    pairs = [{"a": "adam", "b": "mine", "verdict": "not_enough_data"}]
    advice = recommend([MINE, ADAM], [entry("rule", 0.5, None)], pairs, both, "auc", 1)
    assert {need: advice[need]["arm"] for need in ("speed", "balanced")} == {"speed": "adam", "balanced": "adam"}
    assert advice["accuracy"]["arm"] == "mine", "of undecided arms, the best estimate"
    assert cheaper_trained(ADAM, [MINE, ADAM, NNUNET]) is None
    assert cheaper_trained(NNUNET, [ADAM]) is None
