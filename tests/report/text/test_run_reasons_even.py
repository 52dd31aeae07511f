"""Arms that cost as much are no preference, and the sentence says so."""

from equipoise.report.results.recommendation import recommend
from equipoise.report.text.run_reasons import cheapest_of_all, cheapest_of_tied


def test_arms_of_one_network_are_told_apart_by_their_name_alone() -> None:
    one = {
        "endpoints": {"auc": {"estimate": 0.9}},
        "parameters": 10,
        "cost": {"latency_ms": 2.0, "peak_memory_mb": 3.0},
    }
    arms = [{"name": name} | one for name in ("adam", "mine")]
    pair = {"a": "adam", "b": "mine", "verdict": "equivalent", "difference": 0.0}
    advice = recommend(arms, [], [pair], [], "auc", 1)
    assert advice["accuracy"]["reason"].facts["even"] == ("mine",)
    assert advice["speed"]["reason"].facts["even"] == ("mine",)
    dear = [arms[0], arms[1] | {"parameters": 20}]
    assert recommend(dear, [], [pair], [], "auc", 1)["accuracy"]["reason"].facts["even"] == ()


def test_the_sentence_names_them() -> None:
    ends = "has the fewest parameters, as has mine: the first by name is given."
    assert cheapest_of_tied(["adam", "mine"], "parameters", True, ["mine"]).endswith(ends)
    both = cheapest_of_all(["a", "b", "c"], "latency", False, ["b", "c"])
    assert both == "It has the lowest latency measured of a, b and c, as have b and c: the first by name is given."
