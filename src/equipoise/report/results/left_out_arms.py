"""Arms that a recommendation leaves out: which and why, and whether one of them may be the better choice.

Of two arms, one may be shown to be better than a trivial baseline and the other not, although the other has the better
estimate: the difference between significant and not significant is not itself significant (Gelman and Stern, The
American Statistician 60 (2006) 328-331). Such a rival forbids to recommend the first (docs/decisions/0025).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.report.results.entry_values import estimate_of, latency_of, loser_of, winner_of
from equipoise.statistics.reasons import Reason

Entry = Mapping[str, Any]
OPEN = ("not_enough_data", "refused", "single_run")
"""Verdicts against the baseline that speak neither for an arm nor against it."""


@dataclass(frozen=True)
class LeftOut:
    """An arm that is no candidate. reason: why. open: whether its comparison with the baseline decides nothing."""

    arm: Entry
    reason: Reason
    open: bool

    def as_json(self) -> dict[str, Any]:
        """Return the form of results.json, with a `Reason` for the sentence."""
        return {"arm": str(self.arm["name"]), "reason": self.reason}


def left_out_arms(
    arms: Sequence[Entry], against: Sequence[Entry], baseline: str | None, max_latency_ms: float
) -> list[LeftOut]:
    """Return the arms that were not shown to be better than the baseline, and those that are too slow.

    arms: with an estimate. against: the comparisons with that baseline. max_latency_ms: infinity for no limit.
    """
    out = []
    for arm in arms:
        name = str(arm["name"])
        pair = next((one for one in against if one["a"] == name), None)
        if latency_of(arm) > max_latency_ms:
            out.append(LeftOut(arm, Reason("left_out_slow", arm=name, limit_ms=max_latency_ms), False))
        elif baseline is not None and (pair is None or winner_of(pair) != name):
            reason = Reason("left_out_unbeaten", arm=name, baseline=baseline, **_numbers(pair))
            out.append(LeftOut(arm, reason, pair is None or pair["verdict"] in OPEN))
    return out


def rival_of(
    chosen: Entry,
    left_out: Sequence[LeftOut],
    comparisons: Sequence[Entry],
    endpoint: str,
    sign: int,
    price: Callable[[Entry], float],
    whatever: bool,
) -> Entry | None:
    """Return the arm left out that forbids to recommend the chosen one; None without such an arm.

    It has the better estimate, its comparison with the baseline decides nothing, and it costs no more than the chosen
    arm or was shown to be better; whatever: the need asks for the price alone, so it must cost less.
    """
    own, name = estimate_of(chosen, endpoint) or 0.0, str(chosen["name"])
    for each in left_out:
        value = estimate_of(each.arm, endpoint)
        if not each.open or value is None or sign * (value - own) <= 0:
            continue
        other = str(each.arm["name"])
        pair = comparison_of(name, other, comparisons)
        better = pair is not None and loser_of(pair) == name
        cheaper = price(each.arm) < price(chosen) if whatever else price(each.arm) <= price(chosen)
        if cheaper or (better and not whatever):
            return each.arm
    return None


def rival_reason(
    chosen: Entry, rival: Entry, baseline: str | None, comparisons: Sequence[Entry], endpoint: str
) -> Reason:
    """Return why nothing is recommended: the rival's and the chosen arm's estimates, and their comparison."""
    a, b = str(rival["name"]), str(chosen["name"])
    pair = comparison_of(a, b, comparisons)
    values = [estimate_of(one, endpoint) for one in (rival, chosen)]
    better = pair is not None and winner_of(pair) == a
    turned = pair is not None and pair["a"] != a
    return Reason(
        "rival_left_out", a=a, b=b, baseline=baseline, values=values, shown=better, **_numbers(pair, turned=turned)
    )


def comparison_of(a: str, b: str, comparisons: Sequence[Entry]) -> Entry | None:
    """Return the comparison of two arms, in either order; None where there is none."""
    return next((pair for pair in comparisons if {pair["a"], pair["b"]} == {a, b}), None)


def _numbers(pair: Entry | None, turned: bool = False) -> dict[str, Any]:
    """Return difference, interval of the verdict and adjusted p of a comparison; turned: of the second arm."""
    if pair is None:
        return {"difference": None, "interval": (None, None), "p": None}
    low, high = pair.get("decisive") or (None, None)
    if low is None or high is None:
        low, high = pair.get("low"), pair.get("high")
    difference, p = pair.get("difference"), pair.get("p_adjusted")
    if turned:
        difference = None if difference is None else -difference
        low, high = (None if end is None else -end for end in (high, low))
    return {"difference": difference, "interval": (low, high), "p": p}
