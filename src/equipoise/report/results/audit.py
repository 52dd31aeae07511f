"""The recommendation of an audit, which knows nothing of speed, memory and size."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.report.results.recommendation import QUALITY, recommend, what_is_known
from equipoise.statistics.reasons import Reason

Entry = Mapping[str, Any]


def recommendation(arms: Sequence[Entry], comparisons: Sequence[Entry], endpoint: str, sign: int) -> dict[str, Any]:
    """Recommend as in a trial's results.json, but name an arm only where no other is tied with it."""
    # Among tied arms a trial names the cheapest; predictions do not show which that is.
    advice = dict(recommend(arms, (), comparisons, (), endpoint, sign, needs=(QUALITY,))[QUALITY])
    tied = [advice["arm"], *advice["tied_with"]]
    if advice["arm"] is not None and len(tied) > 1:
        order = [str(arm["name"]) for arm in arms if arm["name"] in tied]
        reason = Reason("tied_of_unknown_cost", arms=tuple(order), **what_is_known(order, comparisons))
        advice |= {"arm": None, "tied_with": order, "reason": reason}
    elif len(arms) == 1:
        advice["reason"] = Reason("one_arm")
    unknown: dict[str, Any] = {"arm": None, "tied_with": [], "beats_baseline": None, "reason": Reason("unknown_cost")}
    return {QUALITY: advice, "speed": unknown, "balanced": dict(unknown)}
