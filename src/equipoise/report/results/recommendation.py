"""Recommend an arm by fixed rules; undecided is not equal: only equivalence lets the smaller network win on accuracy.

0. An arm or a baseline that could not be judged (a missing or unusable prediction) stays in the field: nothing was
   shown about it, so nothing is recommended over it.
1. An arm is a candidate if it was shown better than the strongest trivial baseline; without a candidate the baseline
   itself is recommended for every need, and nothing where no comparison with it allowed a verdict. A latency limit then
   removes the candidates that are slower. Arms that are no candidates are named with their reason.
2. Candidates tied with the best estimate are those not shown worse than it.
   Where a comparison of the best with another of them allows no verdict, none is named for accuracy and balance.
3. accuracy: the arm with the best estimate, or, of it and the arms that were shown to be equivalent to it, the one with
   the fewest parameters. speed: the candidate with the lowest latency, whatever it loses.
   memory: the candidate with the lowest peak memory, likewise. balanced: the tied arm with the smallest product of
   latency, memory and parameters. Latency and memory are measured, so these may change from one machine or day to
   another; accuracy does not. For speed, memory and balance no arm is named whose optimizer took more gradients for an
   update than another one's: what it wins by, it was given (`gradient_evaluations`).
4. Where an arm left out by rule 1 has the better estimate, was neither shown worse than the baseline nor equivalent to
   it, and costs no more, the choice would rest on one comparison being just significant and another just not: none is
   named (`left_out_arms`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.lookup import nearest
from equipoise.report.results.entry_values import (
    burden_of,
    estimate_of,
    latency_of,
    loser_of,
    memory_of,
    parameters_of,
    winner_of,
)
from equipoise.report.results.gradient_evaluations import cheaper_trained, evaluations_of
from equipoise.report.results.left_out_arms import LeftOut, left_out_arms, rival_of, rival_reason
from equipoise.statistics.reasons import Reason

QUALITY = "accuracy"  # the need, whatever the endpoint
NEEDS = (QUALITY, "speed", "balanced")
"""The needs that results.json answers."""
PREFERENCES = (*NEEDS, "memory")
UNJUDGED = ("refused", "single_run")
"""Verdicts without a statement about the methods."""
Entry = Mapping[str, Any]


def advise(results: Entry, prefer: str = QUALITY, max_latency_ms: float | None = None) -> dict[str, Any]:
    """Recommend an arm for one need, from results.json: as `recommend` for that need.

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
    """Return the recommendation of results.json: for each need {"arm", "tied_with", "beats_baseline", "reason",
    "left_out"}; left_out: {"arm", "reason"} of each arm with an estimate that is no candidate.

    sign: +1 where a larger endpoint is better. arm is None where no arm has a result, none is below the limit, or an
    arm left out has the better estimate.
    """
    usable = [arm for arm in arms if estimate_of(arm, endpoint) is not None]
    if not usable:
        return {need: _advice(None, [], None, Reason("no_result")) for need in needs}
    unjudged = next(
        (e for e in (*arms, *baselines) if _in_field(e, max_latency_ms) and estimate_of(e, endpoint) is None), None
    )
    if unjudged is not None:
        why = (unjudged["endpoints"].get(endpoint) or {}).get("reason") or None
        reason = Reason("arm_unjudged", arm=str(unjudged["name"]), why=why)
        return {need: _advice(None, [], None, reason) for need in needs}
    # The strongest baseline and not each of them: beating a weak rule is no reason to use a network.
    strongest = best_baseline(baselines, endpoint, sign)
    against = [pair for pair in against_baseline if strongest is not None and pair["b"] == strongest["name"]]
    winners = {winner_of(pair) for pair in against}
    candidates = [arm for arm in usable if strongest is None or arm["name"] in winners]
    baseline = None if strongest is None else str(strongest["name"])
    if strongest is not None and against and all(pair["verdict"] in UNJUDGED for pair in against):
        reason = Reason("baseline_unjudged", baseline=strongest["name"], why=against[0]["reason"])
        return {need: _advice(None, [], None, reason) for need in needs}
    if strongest is not None and not candidates:
        reason = Reason("baseline_unbeaten", baseline=strongest["name"])
        return {need: _advice(strongest["name"], [], False, reason) for need in needs}
    left_out = left_out_arms(usable, against, baseline, max_latency_ms)
    in_time = [arm for arm in candidates if latency_of(arm) <= max_latency_ms]
    if not in_time:
        reason = Reason("all_too_slow", limit_ms=max_latency_ms, baseline=baseline)
        return {need: _advice(None, [], None, reason, left_out) for need in needs}
    field = _Field(in_time, left_out, baseline, comparisons, endpoint, sign)
    return {need: _for_need(need, field) for need in needs}


@dataclass(frozen=True)
class _Field:
    """The candidates of a recommendation, the arms left out, and what is known of them."""

    candidates: Sequence[Entry]
    left_out: Sequence[LeftOut]
    baseline: str | None
    comparisons: Sequence[Entry]
    endpoint: str
    sign: int


def _for_need(need: str, field: _Field) -> dict[str, Any]:
    candidates, comparisons, endpoint, sign = field.candidates, field.comparisons, field.endpoint, field.sign
    beats, left_out = None if field.baseline is None else True, field.left_out
    best = max(candidates, key=lambda arm: (sign * (estimate_of(arm, endpoint) or 0.0), -parameters_of(arm)))
    lost = {loser_of(pair) for pair in comparisons if winner_of(pair) == best["name"]}
    tied = [arm for arm in candidates if arm["name"] not in lost]
    price, why, whatever = _PRICES[need]
    open_pair = next((pair for pair in comparisons if _is_open(pair, str(best["name"]), tied)), None)
    if open_pair is not None and not whatever:
        reason = Reason("pair_unjudged", a=open_pair["a"], b=open_pair["b"], why=open_pair.get("reason") or None)
        return _advice(None, [str(one["name"]) for one in tied], beats, reason, left_out)
    group = candidates if whatever else _equal_to(best, tied, comparisons) if need == QUALITY else tied
    arm = _cheapest(group, price)
    rival = rival_of(arm, left_out, comparisons, endpoint, sign, price, whatever)
    if rival is not None:
        reason = rival_reason(arm, rival, field.baseline, comparisons, endpoint)
        return _advice(None, [*(str(one["name"]) for one in tied), str(rival["name"])], None, reason, left_out)
    # Arms left out too: one that did not beat the rule may owe that to the smaller budget.
    everyone = [*field.candidates, *(one.arm for one in left_out)]
    cheaper = None if need == QUALITY else cheaper_trained(arm, everyone)
    if cheaper is not None:
        counts = {"evaluations": evaluations_of(arm), "fewer": evaluations_of(cheaper)}
        reason = Reason("more_evaluations", a=str(arm["name"]), b=str(cheaper["name"]), **counts)
        return _advice(None, [str(one["name"]) for one in tied], beats, reason, left_out)
    even = tuple(str(one["name"]) for one in group if one is not arm and price(one) == price(arm) < inf)
    if need == QUALITY and len(group) < len(tied):
        reason = _best_of_undecided(best, group, tied, even)
    else:
        reason = _reason(arm, group, why, whatever, lost, field, even)
    return _advice(str(arm["name"]), _others(tied, arm), beats, reason, left_out)


def _equal_to(best: Entry, tied: Sequence[Entry], comparisons: Sequence[Entry]) -> list[Entry]:
    """Return the arm with the best estimate and the tied ones that were shown to be equivalent to it."""
    return [one for one in tied if one is best or all_equivalent([str(best["name"]), str(one["name"])], comparisons)]


def _best_of_undecided(best: Entry, group: Sequence[Entry], tied: Sequence[Entry], even: tuple[str, ...]) -> Reason:
    """Return why an arm of the group is named, where the best one's comparisons with other tied arms decide nothing."""
    equal = tuple(str(one["name"]) for one in group if one is not best)
    undecided = tuple(str(one["name"]) for one in tied if one not in group)
    return Reason("best_of_undecided", best=str(best["name"]), undecided=undecided, equal=equal, even=even)


def best_baseline(baselines: Sequence[Entry], endpoint: str, sign: int) -> Entry | None:
    """Return the baseline with the best estimate; None where there is none."""
    usable = [entry for entry in baselines if estimate_of(entry, endpoint) is not None]
    return max(usable, key=lambda entry: sign * (estimate_of(entry, endpoint) or 0.0), default=None)


def mark_pareto(arms: Sequence[dict[str, Any]], endpoint: str, sign: int) -> None:
    """Set `pareto` in each arm's cost: True where no other arm is as good and as cheap in all, and better in one.

    The costs are latency, peak memory and parameters; an unknown cost counts as infinite.
    """
    points = [
        (arm, None if value is None else (-sign * value, latency_of(arm), memory_of(arm), parameters_of(arm)))
        for arm, value in ((arm, estimate_of(arm, endpoint)) for arm in arms)
    ]
    for arm, own in points:
        arm["cost"]["pareto"] = own is not None and not any(
            other is not None and other != own and all(o <= mine for o, mine in zip(other, own, strict=True))
            for _, other in points
        )


def _in_field(entry: Entry, max_latency_ms: float) -> bool:
    """Return whether an arm without a result could have been chosen; only a limit of latency takes it out."""
    return max_latency_ms == inf or latency_of(entry) <= max_latency_ms


def _is_open(pair: Entry, best: str, tied: Sequence[Entry]) -> bool:
    """Return whether the pair is of the best arm and a tied one, and allows no verdict."""
    names = {str(one["name"]) for one in tied}
    return pair["verdict"] in UNJUDGED and best in (pair["a"], pair["b"]) and {pair["a"], pair["b"]} <= names


def all_equivalent(arms: Sequence[str], comparisons: Sequence[Entry]) -> bool:
    """Return whether every two of the arms were shown to be equivalent: undecided arms are not equal."""
    shown = {frozenset((pair["a"], pair["b"])) for pair in comparisons if pair["verdict"] == "equivalent"}
    return all(frozenset(pair) in shown for pair in combinations(arms, 2))


def what_is_known(arms: Sequence[str], comparisons: Sequence[Entry]) -> dict[str, Any]:
    """Return the facts on the pairs of tied arms: whether all are equivalent, which are, and which (winner, loser)
    were shown to differ."""
    among = [pair for pair in comparisons if {pair["a"], pair["b"]} <= set(arms)]
    equivalent = tuple((str(pair["a"]), str(pair["b"])) for pair in among if pair["verdict"] == "equivalent")
    better = tuple((str(winner_of(pair)), str(loser_of(pair))) for pair in among if winner_of(pair) is not None)
    return {"equal": all_equivalent(arms, comparisons), "equivalent": equivalent, "better": better}


def _reason(
    arm: Entry,
    group: Sequence[Entry],
    why: str,
    whatever: bool,
    lost: set[str | None],
    field: _Field,
    even: tuple[str, ...],
) -> Reason:
    """Return why this arm is named; even: the others of its group that cost as much, between which the name decides."""
    if len(field.candidates) == 1:
        slow = next((one.reason.facts["limit_ms"] for one in field.left_out if "limit_ms" in one.reason.facts), None)
        return Reason("only_candidate", baseline=field.baseline, limit_ms=slow)
    if len(group) == 1:
        return Reason("alone_at_the_top", baseline=field.baseline)
    names = tuple(str(one["name"]) for one in group)
    if whatever:
        return Reason("cheapest_of_all", arms=names, price=why, worse=arm["name"] in lost, even=even)
    return Reason("cheapest_of_tied", arms=names, price=why, even=even, **what_is_known(names, field.comparisons))


def _advice(
    arm: str | None, tied: list[str], beats: bool | None, reason: Reason, left_out: Sequence[LeftOut] = ()
) -> dict[str, Any]:
    others = [one.as_json() for one in left_out]
    return {"arm": arm, "tied_with": tied, "beats_baseline": beats, "reason": reason, "left_out": others}


def _others(tied: Sequence[Entry], arm: Entry) -> list[str]:
    names = [str(one["name"]) for one in tied]
    return [name for name in names if name != arm["name"]] if arm["name"] in names else []


def _cheapest(arms: Sequence[Entry], price: Callable[[Entry], float]) -> Entry:
    # Of arms that cost the same, as those of one network do, the one that was trained with the fewest gradients.
    return min(arms, key=lambda arm: (price(arm), evaluations_of(arm) or 0.0, str(arm["name"])))


# By need: the cost to minimise, its name, and whether all candidates compete and not only the tied ones.
_PRICES: dict[str, tuple[Callable[[Entry], float], str, bool]] = {
    QUALITY: (parameters_of, "parameters", False),
    "speed": (latency_of, "latency", True),
    "memory": (memory_of, "memory", True),
    "balanced": (burden_of, "product", False),
}
