"""A margin is the smallest difference that matters; a wide one makes arms equivalent that are not."""

import math
from collections.abc import Mapping, Sequence

from equipoise.errors import PredictionError
from equipoise.statistics.kinds import Area, ClassRecall, Endpoint
from equipoise.statistics.reasons import Reason

_GUESSING_AREA = 0.5
"""The AUC of scores without information; the balanced accuracy of two classes that are guessed."""
_WIDE = 0.1
"""Share of the range from which a margin is wide."""


def refuse_wide_margin(endpoint: Endpoint, margin: float | None) -> None:
    """Raise PredictionError for a margin that calls arms equivalent of which one is half way to guessing.

    For a plan; results that were planned before keep theirs, if it is not as wide as the range.
    """
    refuse_margin_of_range(endpoint, margin)
    best = endpoint.high if endpoint.higher_is_better else endpoint.low
    way = abs(best - _guessing(endpoint))
    if margin is None or not math.isfinite(way) or margin < way / 2:
        return
    raise PredictionError(
        f"the margin {margin:g} of {endpoint.name} is half the way from guessing ({_guessing(endpoint):g}) to perfect "
        f"({best:g}) or more, so an arm that has lost half of its use would be equivalent; state the smallest "
        f"difference that matters, below {way / 2:g} (often {way / 25:g} or less)"
    )


def wide_margin(endpoint: Endpoint, margin: float | None) -> Reason | None:
    """Return the caution of a margin that is a tenth of the range or more, with its share of the way to perfect."""
    best = endpoint.high if endpoint.higher_is_better else endpoint.low
    way, width = abs(best - _guessing(endpoint)), endpoint.high - endpoint.low
    if margin is None or not math.isfinite(width) or margin < _WIDE * width:
        return None
    share = margin / way
    return Reason(
        "wide_margin", endpoint=endpoint.label, margin=margin, share=share, guessing=_guessing(endpoint), best=best
    )


def _guessing(endpoint: Endpoint) -> float:
    """Return the value of an arm that knows nothing, where it does not depend on the cases; else the worst value."""
    if isinstance(endpoint.kind, Area | ClassRecall):
        return _GUESSING_AREA
    if endpoint.guessed is not None:
        return endpoint.guessed
    return endpoint.low if endpoint.higher_is_better else endpoint.high


def refuse_margin_of_range(endpoint: Endpoint, margin: float | None) -> None:
    """Raise PredictionError for a margin that no difference of the endpoint can exceed, such as 3 for 3 %."""
    width = endpoint.high - endpoint.low
    if margin is None or not math.isfinite(width) or margin < width:
        return
    raise PredictionError(
        f"the margin {margin:g} of {endpoint.name} is as wide as its range, {endpoint.low:g} to {endpoint.high:g}, so "
        "any two arms would be equivalent; state the smallest difference that matters in the unit of the values "
        f"(a hundredth of the range is {width / 100:g})"
    )


def parse_margins(given: Mapping[str, float] | str | None) -> dict[str, float]:
    """Read the margins of secondary endpoints from a mapping or from the command line's spelling, in their order.

    >>> parse_margins("surface_dice=0.02,hd95=1")
    {'surface_dice': 0.02, 'hd95': 1.0}
    """
    if given is None or isinstance(given, Mapping):
        return {name: float(value) for name, value in (given or {}).items()}
    try:
        pairs = [one.rsplit("=", 1) for one in given.split(",")]
        margins = {name.strip(): float(value) for name, value in pairs}
    except ValueError as error:
        raise PredictionError(
            f"the margins {given!r} are not understood; write ENDPOINT=X,ENDPOINT=X, with points in numbers"
        ) from error
    if "" in margins or len(margins) < len(pairs):
        raise PredictionError(f"the margins {given!r} name an endpoint twice, or none; write ENDPOINT=X once each")
    return margins


def check_margins(margins: Mapping[str, float], primary: str, secondary: Sequence[str]) -> None:
    """Raise PredictionError for a margin that is no positive number, or that belongs to no secondary endpoint."""
    for name, margin in margins.items():
        if not (math.isfinite(margin) and margin > 0):
            raise PredictionError(f"the margin {margin:g} of {name} is not a positive number; state what matters")
        if name == primary:
            raise PredictionError(f"{name} is the primary endpoint, whose margin is stated as margin; move it there")
        if name not in secondary:
            others = ", ".join(secondary) or "none"
            raise PredictionError(f"a margin is stated for {name}, which is no secondary endpoint (they are {others})")
