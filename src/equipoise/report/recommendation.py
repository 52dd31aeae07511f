"""Which arm to use, by rule: what the data cannot tell apart stands together, and the cheapest of it is named.

1. An arm is a candidate if it was shown better than the strongest trivial baseline; without a candidate the baseline
   itself is recommended for every need. 2. Candidates tied with the best estimate are those not shown worse than it.
3. accuracy: the tied arm with the fewest parameters. speed: the candidate with the lowest latency, whatever it loses.
balanced: the tied arm with the smallest product of latency, memory and parameters. Latency and memory are measured,
so the last two may change from one machine or day to another; accuracy does not.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from equipoise.report.words import listed

NEEDS = ("accuracy", "speed", "balanced")
Entry = Mapping[str, Any]


def recommend(
    arms: Sequence[Entry],
    baselines: Sequence[Entry],
    comparisons: Sequence[Entry],
    against_baseline: Sequence[Entry],
    endpoint: str,
    sign: int,
) -> dict[str, Any]:
    """The recommendation of results.json: for each need {"arm", "tied_with", "beats_baseline", "reason"}.

    sign: +1 where a larger endpoint is better. arm is None where no arm has a result.
    """
    usable = [arm for arm in arms if _estimate(arm, endpoint) is not None]
    if not usable:
        return {need: _advice(None, [], None, "No arm finished with a result.") for need in NEEDS}
    strongest = best_baseline(baselines, endpoint, sign)
    candidates = usable
    if strongest is not None:
        winners = {_winner(pair) for pair in against_baseline if pair["b"] == strongest["name"]}
        candidates = [arm for arm in usable if arm["name"] in winners]
        if not candidates:
            reason = f"No arm was shown better than the trivial baseline {strongest['name']}, which costs nothing."
            return {need: _advice(strongest["name"], [], False, reason) for need in NEEDS}
    best = max(candidates, key=lambda arm: sign * (_estimate(arm, endpoint) or 0.0))
    lost = {_loser(pair) for pair in comparisons if _winner(pair) == best["name"]}
    tied = [arm for arm in candidates if arm["name"] not in lost]
    beats = None if strongest is None else True
    chosen = {
        "accuracy": (_cheapest(tied, _parameters), tied, "the fewest parameters"),
        "speed": (_cheapest(candidates, _latency), candidates, "the lowest latency measured"),
        "balanced": (_cheapest(tied, _burden), tied, "the smallest product of latency, memory and parameters"),
    }
    return {
        need: _advice(arm["name"], _others(tied, arm), beats, _reason(need, arm, group, why, lost))
        for need, (arm, group, why) in chosen.items()
    }


def best_baseline(baselines: Sequence[Entry], endpoint: str, sign: int) -> Entry | None:
    """The baseline with the best estimate; None where there is none."""
    usable = [entry for entry in baselines if _estimate(entry, endpoint) is not None]
    return max(usable, key=lambda entry: sign * (_estimate(entry, endpoint) or 0.0), default=None)


def mark_pareto(arms: Sequence[dict[str, Any]], endpoint: str, sign: int) -> None:
    """Set `pareto` on each arm: True where no other arm has both a better estimate and a lower latency."""
    points = [(arm, _estimate(arm, endpoint), _latency(arm)) for arm in arms]
    for arm, value, latency in points:
        arm["pareto"] = value is not None and not any(
            other is not None and sign * other >= sign * value and ms <= latency and (other, ms) != (value, latency)
            for _, other, ms in points
        )


def _reason(need: str, arm: Entry, group: Sequence[Entry], why: str, lost: set[str | None]) -> str:
    name = str(arm["name"])
    if len(group) == 1:
        only = (
            "It is the only arm shown better than the trivial baseline"
            if need == "speed"
            else "It stands alone at the top"
        )
        return f"{only}."
    if need == "speed":
        price = " It was shown worse than the best arm; that is the price." if name in lost else ""
        return f"Of {listed([str(one['name']) for one in group])} it has {why}.{price}"
    return f"The data cannot tell {listed([str(one['name']) for one in group])} apart; of these it has {why}."


def _advice(arm: str | None, tied: list[str], beats: bool | None, reason: str) -> dict[str, Any]:
    return {"arm": arm, "tied_with": tied, "beats_baseline": beats, "reason": reason}


def _others(tied: Sequence[Entry], arm: Entry) -> list[str]:
    names = [str(one["name"]) for one in tied]
    return [name for name in names if name != arm["name"]] if arm["name"] in names else []


def _cheapest(arms: Sequence[Entry], price: Callable[[Entry], float]) -> Entry:
    return min(arms, key=lambda arm: (price(arm), str(arm["name"])))


def _winner(pair: Entry) -> str | None:
    return {"a_better": str(pair["a"]), "b_better": str(pair["b"])}.get(str(pair["verdict"]))


def _loser(pair: Entry) -> str | None:
    return {"a_better": str(pair["b"]), "b_better": str(pair["a"])}.get(str(pair["verdict"]))


def _estimate(entry: Entry, endpoint: str) -> float | None:
    value = (entry["endpoints"].get(endpoint) or {}).get("estimate")
    return None if value is None else float(value)


def _parameters(arm: Entry) -> float:
    return float(arm["parameters"]) if arm.get("parameters") is not None else inf


def _latency(arm: Entry) -> float:
    value = arm["cost"].get("latency_ms")
    return inf if value is None else float(value)


def _burden(arm: Entry) -> float:
    memory = arm["cost"].get("peak_memory_mb")
    return _latency(arm) * _parameters(arm) * (inf if memory is None else float(memory))
