"""Recommend an arm by fixed rules: of arms that the data do not distinguish, the cheapest.

0. An arm or a baseline that could not be judged (a missing or unusable prediction) stays in the field: nothing was
   shown about it, so nothing is recommended over it.
1. An arm is a candidate if it was shown better than the strongest trivial baseline; without a candidate the baseline
   itself is recommended for every need, and nothing where no comparison with it allowed a verdict. A latency limit then
   removes the candidates that are slower.
2. Candidates tied with the best estimate are those not shown worse than it.
   Where a comparison of the best with another of them allows no verdict, none is named for accuracy and balance.
3. accuracy: the tied arm with the fewest parameters. speed: the candidate with the lowest latency, whatever it loses.
   memory: the candidate with the lowest peak memory, likewise. balanced: the tied arm with the smallest product of
   latency, memory and parameters. Latency and memory are measured, so these may change from one machine or day to
   another; accuracy does not.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import inf
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.lookup import nearest
from equipoise.statistics.reasons import Reason

QUALITY = "accuracy"  # the need, whatever the endpoint
NEEDS = (QUALITY, "speed", "balanced")
"""The needs that results.json answers."""
PREFERENCES = (*NEEDS, "memory")
UNJUDGED = ("refused", "single_run")
"""Verdicts without a statement about the methods."""
Entry = Mapping[str, Any]


def advise(results: Entry, prefer: str = QUALITY, max_latency_ms: float | None = None) -> dict[str, Any]:
    """Recommend an arm for one need, from results.json: {"arm", "tied_with", "beats_baseline", "reason"}.

    prefer: one of PREFERENCES; max_latency_ms: arms slower than this for one case are out (None: no limit).
    """
    if prefer not in PREFERENCES:
        raise EquipoiseError(f"the preference {prefer!r} is unknown; {nearest(prefer, PREFERENCES)}")
    endpoint = results["endpoints"]["primary"]
    sign = 1 if results["endpoints"]["higher_is_better"] else -1
    limit = inf if max_latency_ms is None else max_latency_ms
    recommended = recommend(
        results["arms"], results["baselines"], results["comparisons"], results["baseline_comparisons"], endpoint, sign,
        needs=(prefer,), max_latency_ms=limit,
    )  # fmt: skip
    advice: dict[str, Any] = recommended[prefer]
    return advice


def recommend(
    arms: Sequence[Entry],
    baselines: Sequence[Entry],
    comparisons: Sequence[Entry],
    against_baseline: Sequence[Entry],
    endpoint: str,
    sign: int,
    *,
    needs: Sequence[str] = NEEDS,
    max_latency_ms: float = inf,
) -> dict[str, Any]:
    """Return the recommendation of results.json: for each need {"arm", "tied_with", "beats_baseline", "reason"}.

    sign: +1 where a larger endpoint is better. arm is None where no arm has a result, or none is below the limit.
    """
    usable = [arm for arm in arms if _estimate(arm, endpoint) is not None]
    if not usable:
        return {need: _advice(None, [], None, Reason("no_result")) for need in needs}
    unjudged = next(
        (e for e in (*arms, *baselines) if _in_field(e, max_latency_ms) and _estimate(e, endpoint) is None), None
    )
    if unjudged is not None:
        why = (unjudged["endpoints"].get(endpoint) or {}).get("reason") or None
        reason = Reason("arm_unjudged", arm=str(unjudged["name"]), why=why)
        return {need: _advice(None, [], None, reason) for need in needs}
    # The strongest baseline and not each of them: beating a weak rule is no reason to use a network.
    strongest = best_baseline(baselines, endpoint, sign)
    against = [pair for pair in against_baseline if strongest is not None and pair["b"] == strongest["name"]]
    winners = {_winner(pair) for pair in against}
    candidates = [arm for arm in usable if strongest is None or arm["name"] in winners]
    if strongest is not None and against and all(pair["verdict"] in UNJUDGED for pair in against):
        reason = Reason("baseline_unjudged", baseline=strongest["name"], why=against[0]["reason"])
        return {need: _advice(None, [], None, reason) for need in needs}
    if strongest is not None and not candidates:
        reason = Reason("baseline_unbeaten", baseline=strongest["name"])
        return {need: _advice(strongest["name"], [], False, reason) for need in needs}
    in_time = [arm for arm in candidates if _latency(arm) <= max_latency_ms]
    if not in_time:
        reason = Reason("all_too_slow", limit_ms=max_latency_ms)
        return {need: _advice(None, [], None, reason) for need in needs}
    beats = None if strongest is None else True
    return {need: _for_need(need, in_time, comparisons, endpoint, sign, beats) for need in needs}


def _for_need(
    need: str, candidates: Sequence[Entry], comparisons: Sequence[Entry], endpoint: str, sign: int, beats: bool | None
) -> dict[str, Any]:
    best = max(candidates, key=lambda arm: sign * (_estimate(arm, endpoint) or 0.0))
    lost = {_loser(pair) for pair in comparisons if _winner(pair) == best["name"]}
    tied = [arm for arm in candidates if arm["name"] not in lost]
    price, why, whatever = _PRICES[need]
    open_pair = next((pair for pair in comparisons if _is_open(pair, str(best["name"]), tied)), None)
    if open_pair is not None and not whatever:
        reason = Reason("pair_unjudged", a=open_pair["a"], b=open_pair["b"], why=open_pair.get("reason") or None)
        return _advice(None, [str(one["name"]) for one in tied], beats, reason)
    group = candidates if whatever else tied
    arm = _cheapest(group, price)
    reason = _reason(arm, group, why, whatever, lost, comparisons)
    return _advice(str(arm["name"]), _others(tied, arm), beats, reason)


def best_baseline(baselines: Sequence[Entry], endpoint: str, sign: int) -> Entry | None:
    """Return the baseline with the best estimate; None where there is none."""
    usable = [entry for entry in baselines if _estimate(entry, endpoint) is not None]
    return max(usable, key=lambda entry: sign * (_estimate(entry, endpoint) or 0.0), default=None)


def mark_pareto(arms: Sequence[dict[str, Any]], endpoint: str, sign: int) -> None:
    """Set `pareto` in each arm's cost: True where no other arm is as good and as cheap in all, and better in one.

    The costs are latency, peak memory and parameters; an unknown cost counts as infinite.
    """
    points = [
        (arm, None if value is None else (-sign * value, _latency(arm), _memory(arm), _parameters(arm)))
        for arm, value in ((arm, _estimate(arm, endpoint)) for arm in arms)
    ]
    for arm, own in points:
        arm["cost"]["pareto"] = own is not None and not any(
            other is not None and other != own and all(o <= mine for o, mine in zip(other, own, strict=True))
            for _, other in points
        )


def _in_field(entry: Entry, max_latency_ms: float) -> bool:
    """Return whether an arm without a result could have been chosen; only a limit of latency takes it out."""
    return max_latency_ms == inf or _latency(entry) <= max_latency_ms


def _is_open(pair: Entry, best: str, tied: Sequence[Entry]) -> bool:
    """Return whether the pair is of the best arm and a tied one, and allows no verdict."""
    names = {str(one["name"]) for one in tied}
    return pair["verdict"] in UNJUDGED and best in (pair["a"], pair["b"]) and {pair["a"], pair["b"]} <= names


def all_equivalent(arms: Sequence[str], comparisons: Sequence[Entry]) -> bool:
    """Return whether every two of the arms were shown to be equivalent: undecided arms are not equal."""
    shown = {frozenset((pair["a"], pair["b"])) for pair in comparisons if pair["verdict"] == "equivalent"}
    return all(frozenset(pair) in shown for pair in combinations(arms, 2))


def _reason(
    arm: Entry, group: Sequence[Entry], why: str, whatever: bool, lost: set[str | None], comparisons: Sequence[Entry]
) -> Reason:
    if len(group) == 1:
        return Reason("only_candidate" if whatever else "alone_at_the_top")
    names = tuple(str(one["name"]) for one in group)
    if whatever:
        return Reason("cheapest_of_all", arms=names, price=why, worse=arm["name"] in lost)
    return Reason("cheapest_of_tied", arms=names, price=why, equal=all_equivalent(names, comparisons))


def _advice(arm: str | None, tied: list[str], beats: bool | None, reason: Reason) -> dict[str, Any]:
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


def _memory(arm: Entry) -> float:
    value = arm["cost"].get("peak_memory_mb")
    return inf if value is None else float(value)


def _burden(arm: Entry) -> float:
    # A product needs no weights between milliseconds and megabytes: halving any of the costs counts the same.
    return _latency(arm) * _parameters(arm) * _memory(arm)


# By need: the cost to minimise, its name, and whether all candidates compete and not only the tied ones.
_PRICES: dict[str, tuple[Callable[[Entry], float], str, bool]] = {
    QUALITY: (_parameters, "parameters", False),
    "speed": (_latency, "latency", True),
    "memory": (_memory, "memory", True),
    "balanced": (_burden, "product", False),
}
