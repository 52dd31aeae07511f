"""A margin is the smallest difference that matters; one as wide as the endpoint's range makes all arms equivalent."""

import math

from equipoise.errors import PredictionError
from equipoise.statistics.kinds import Endpoint


def refuse_wide_margin(endpoint: Endpoint, margin: float | None) -> None:
    """Raise PredictionError for a margin that no difference of the endpoint can exceed, such as 3 for 3 %."""
    width = endpoint.high - endpoint.low
    if margin is None or not math.isfinite(width) or margin < width:
        return
    raise PredictionError(
        f"the margin {margin:g} of {endpoint.name} is as wide as its range, {endpoint.low:g} to {endpoint.high:g}, so "
        "any two arms would be equivalent; state the smallest difference that matters in the unit of the values "
        f"(a hundredth of the range is {width / 100:g})"
    )
