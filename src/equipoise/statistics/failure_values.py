"""Values of failed cases that a caller states, for metrics whose range has no worst end."""

from collections.abc import Mapping, Sequence

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.kinds import Endpoint


def parse_failure_values(given: Mapping[str, float] | Sequence[str]) -> dict[str, float]:
    """Read metric -> value from a mapping or from the command line's spelling.

    >>> parse_failure_values(["hd95=60"])
    {'hd95': 60.0}
    """
    pairs = list(given.items()) if isinstance(given, Mapping) else [tuple(one.rsplit("=", 1)) for one in given]
    try:
        values = {str(name): float(value) for name, value in pairs}
    except (TypeError, ValueError) as error:
        raise PredictionError(
            f"the failure values {given!r} are not understood; write METRIC=VALUE, with a point in the number"
        ) from error
    if not np.isfinite(list(values.values())).all():
        raise PredictionError(f"the failure values {given!r} are not finite; write METRIC=VALUE with a number")
    return values


def check_failure_values(values: Mapping[str, float], table: Predictions, known: Mapping[str, Endpoint]) -> None:
    """Raise PredictionError for a value that no metric of the table can have, or that a case here exceeds.

    known: the endpoints by name.
    """
    for name, value in values.items():
        if name not in table.metrics or name not in known:
            raise PredictionError(f"there is no endpoint {name!r} whose failures have a value; leave it out")
        endpoint = known[name]
        if np.isfinite(endpoint.low if endpoint.higher_is_better else endpoint.high):
            raise PredictionError(
                f"the worst value of {name!r} is known from its definition; leave its failure value out"
            )
        cases = endpoint.judged(table.metrics[name])
        worst = float(np.nanmin(cases) if endpoint.higher_is_better else np.nanmax(cases))
        # Understated, failures would count too little and the guard would be void.
        if endpoint.sign * worst < endpoint.sign * value:
            raise PredictionError(
                f"a case has {name} {worst:g}, which is worse than the failure value {value:g} that was stated; "
                "state the worst value that a case can have"
            )
