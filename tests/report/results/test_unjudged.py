"""An arm that could not be judged stays in the field: nobody is shown to be worse who was not."""

from typing import Any

import numpy as np
import pytest

from equipoise.report.results.recommendation import recommend
from equipoise.report.text.reasons import sentence
from equipoise.report.text.verdicts import answers
from equipoise.statistics.reasons import Reason
from equipoise.trials.audit import audit


def table(shifts: dict[str, float], cases: int = 60) -> dict[str, Any]:
    """Dice of arms with three runs each, whose difference is far from chance."""
    stream = np.random.default_rng(0)
    easy = stream.normal(0.85, 0.05, cases)
    rows = [
        (arm, seed, f"c{k}", min(1.0, easy[k] + shift + stream.normal(0, 0.01)))
        for arm, shift in shifts.items()
        for seed in range(3)
        for k in range(cases)
    ]
    arm, seed, case, dice = zip(*rows, strict=True)
    return {"arm": np.array(arm), "seed": np.array(seed), "case": np.array(case), "dice": np.array(dice)}


def spoilt(columns: dict[str, Any], how: str) -> dict[str, Any]:
    """One value of a run of the good arm is missing, or no number."""
    at = (columns["arm"] == "good") & (columns["seed"] == 1) & (columns["case"] == "c7")
    if how == "missing":
        return {name: values[~at] for name, values in columns.items()}
    value = {"nan": np.nan, "infinite": np.inf, "percent": 87.0}[how]
    return columns | {"dice": np.where(at, value, columns["dice"])}


@pytest.mark.parametrize("how", ["missing", "nan", "infinite", "percent"])
@pytest.mark.parametrize("others", [("poor",), ("poor", "poorer")])
def test_no_arm_is_recommended_over_one_that_was_not_judged(how: str, others: tuple[str, ...]) -> None:
    shifts = {"good": 0.0, **{name: -0.05 - 0.05 * k for k, name in enumerate(others)}}
    whole = audit(table(shifts), cases_are_patients=True)
    assert whole["recommendation"]["accuracy"]["arm"] == "good"
    found = audit(spoilt(table(shifts), how), cases_are_patients=True)
    assert found["recommendation"]["accuracy"]["arm"] is None
    assert "good could not be judged" in found["recommendation"]["accuracy"]["reason"]
    assert found["ranking"] == []
    said = " ".join(one.answer for one in answers(found, {name: name for name in shifts}))
    assert "No recommendation: good could not be judged" in said
    assert "shown to be worse" not in said
    assert "is best:" not in said


def entry(name: str, value: float | None, latency: float = 1.0, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "parameters": 10,
        "endpoints": {"auc": {"estimate": value, **more}},
        "cost": {"latency_ms": latency, "peak_memory_mb": 1.0},
    }


def test_a_baseline_that_was_not_judged_stays_in_the_field() -> None:
    arms, why = [entry("unet", 0.9)], Reason("no_predictions", arm="size-rule")
    advice = recommend(arms, [entry("size-rule", None, reason=why)], [], [], "auc", 1)
    assert advice["accuracy"]["arm"] is None
    assert sentence(advice["accuracy"]["reason"]).endswith("size-rule has no predictions.")


def test_an_unjudged_arm_that_is_too_slow_is_out_of_the_field() -> None:
    arms = [entry("a", 0.9), entry("slow", None, latency=50.0)]
    assert recommend(arms, [], [], [], "auc", 1, max_latency_ms=10.0)["accuracy"]["arm"] == "a"
    assert recommend(arms, [], [], [], "auc", 1)["accuracy"]["arm"] is None


def test_a_pair_without_a_verdict_allows_no_choice_by_quality() -> None:
    arms, pairs = [entry("a", 0.9), entry("b", 0.8, latency=0.5)], [{"a": "a", "b": "b", "verdict": "refused"}]
    advice = recommend(arms, [], pairs, [], "auc", 1)
    assert (advice["accuracy"]["arm"], advice["balanced"]["arm"], advice["speed"]["arm"]) == (None, None, "b")
    assert sentence(advice["accuracy"]["reason"]) == "a and b could not be judged against each other."
