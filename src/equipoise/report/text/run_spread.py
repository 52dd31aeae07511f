"""The standard deviation between training runs in words: one number under one name, wherever it stands."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.text.words import number

NAME = "standard deviation between training runs, in addition to the variation between patients"


def spread_in_words(results: Mapping[str, Any]) -> str:
    """Return the spread of the primary endpoint with its upper limit, and that of each arm's values beside it.

    Empty where no comparison of methods has one.
    """
    variance = results.get("variance")
    if variance is None or variance.get("seed_sd") is None:
        return ""
    high = (variance.get("seed_sd_ends") or (None, None))[1]
    # A spread that is estimated as 0 is small beside what it was estimated from, and not known to be 0.
    limit = f"; with 90 % confidence at most {number(high, 4)}" if high is not None else ""
    first = (
        f"{NAME[0].upper()}{NAME[1:]}: {number(variance['seed_sd'], 4)} ({variance['seed_df']} degrees of freedom, "
        f"pooled over arms{limit})."
    )
    primary = results["endpoints"]["primary"]
    values = {arm["name"]: (arm["endpoints"].get(primary) or {}).get("seed_sd") for arm in results["arms"]}
    known = [f"{name} {number(sd, 4)}" for name, sd in values.items() if sd is not None]
    beside = (
        f" Standard deviation of the values of the runs themselves, which contains patients whom each run judges "
        f"differently: {', '.join(known)}."
    )
    return first + (beside if known else "")
