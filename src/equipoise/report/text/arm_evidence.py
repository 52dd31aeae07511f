"""What a trial says of one arm: its estimate, its verdicts, and what speaks against its use."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.results.recommendation import best_baseline
from equipoise.report.text.objection import EXPLORATORY, UNSHOWN
from equipoise.report.text.words import listed, percentage
from equipoise.statistics.endpoints import FAILURE_RATE, described

VERDICTS = {"a": "a_better", "b": "b_better"}


def arm_evidence(lock: Mapping[str, Any], arm: str, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the trial says of an arm, with what speaks against its use under `overruled`.

    lock: of the run. results: the dictionary of results.json, with its sentences.
    """
    endpoint = results["endpoints"]["primary"]
    entry = next(one for one in (*results["arms"], *results["untuned"]) if one["name"] == arm)
    value = entry["endpoints"].get(endpoint) or {}
    rule, pair = _strongest_rule(arm, results)
    overruled = []
    if pair is None or not _won(pair, arm):
        missing = "the trial has no trivial rule to compare it with"
        reason = missing if rule is None else f"{UNSHOWN} {rule}"
        overruled.append(f"{reason}{'' if pair is None else ': ' + str(pair['reason']).rstrip('.')}")
    exploratory = list(results["exploratory_reasons"])
    if exploratory:
        overruled.append(f"{EXPLORATORY}: {'; '.join(exploratory)}")
    others = [one for one in results["comparisons"] if arm in (one["a"], one["b"])]
    return {
        "trial": lock["name"],
        "question": lock["question"],
        "arm": arm,
        "endpoint": endpoint,
        **{key: value.get(key) for key in ("estimate", "low", "high", "method")},
        "patients": value.get("n_patients"),
        "baseline": {"name": rule, "verdict": pair and pair["verdict"], "reason": pair["reason"] if pair else "none"},
        "comparisons": [
            {"other": one["b"] if one["a"] == arm else one["a"], "verdict": one["verdict"], "reason": one["reason"]}
            for one in others
        ],
        "recommendation": _recommendation(arm, results.get("recommendation") or {}),
        "exploratory": bool(exploratory),
        "exploratory_reasons": exploratory,
        "overruled": overruled,
        **_failures(entry),
    }


def _failures(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"failures": sentences} with the rates of failed test cases; nothing where the task knows none."""
    worst = f"{described(str(FAILURE_RATE.share_of)).label} below {FAILURE_RATE.share_below:g}"
    rates = [
        f"{described(name).label} {percentage(value['estimate'])} % (95 % interval {percentage(value['low'])} to "
        f"{percentage(value['high'])} %; a case fails with a {worst}; mean of the training runs)"
        for name, value in entry["endpoints"].items()
        if name.startswith(FAILURE_RATE.name) and None not in [value.get(key) for key in ("estimate", "low", "high")]
    ]
    return {"failures": rates} if rates else {}


def _recommendation(arm: str, advice: Mapping[str, Any]) -> str:
    """Return for which needs the trial recommends the arm, or why it does not; empty without a recommendation."""
    needs = [need for need, one in advice.items() if one["arm"] == arm]
    reasons = [str(one.get("reason") or "") for need, one in advice.items() if need in needs]
    if not needs:
        left_out = [out["reason"] for one in advice.values() for out in one.get("left_out") or () if out["arm"] == arm]
        reasons = left_out or [str(one.get("reason") or "") for one in advice.values() if one["arm"] is None]
        others = {str(one["arm"]) for one in advice.values() if one["arm"] is not None}
        reasons += [f"The trial names {' and '.join(sorted(others))}."] * bool(others)
    named = f"recommended for {listed(needs)}" if needs else "not recommended"
    why = " ".join(dict.fromkeys(filter(None, reasons)))
    return f"{named}{': ' * bool(why)}{why}" if advice else ""


def _strongest_rule(arm: str, results: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any] | None]:
    """Return the trivial rule with the best estimate, and its comparison with the arm."""
    endpoint, sign = results["endpoints"]["primary"], 1 if results["endpoints"]["higher_is_better"] else -1
    strongest = best_baseline(results["baselines"], endpoint, sign)
    if strongest is None:
        return None, None
    rule = str(strongest["name"])
    pairs = (pair for pair in results["baseline_comparisons"] if {pair["a"], pair["b"]} == {arm, rule})
    return rule, next(pairs, None)


def _won(pair: Mapping[str, Any], arm: str) -> bool:
    side = "a" if pair["a"] == arm else "b"
    return bool(pair["verdict"] == VERDICTS[side])
