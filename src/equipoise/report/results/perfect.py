"""Arms that answer every test case correctly in every run: more often a truth among the inputs than a solved task."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.statistics.endpoints import perfect_value
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.reasons import Reason

FEWEST_CASES = 20
"""Test cases up to which a perfect answer may be luck: two arms of 20 easy cases are often without an error."""
_ROUNDING = 1e-12


def perfect_arms(arms: Sequence[Mapping[str, Any]], endpoints: Mapping[str, Endpoint], cases: int) -> list[Reason]:
    """Return a reason for each arm that reaches the best value of an endpoint in all its runs, on over 20 cases.

    arms: entries of results.json. endpoints: their records by name, the primary one first. cases: of the test set.
    """
    reasons = []
    for arm in arms if cases > FEWEST_CASES else ():
        perfect = []
        for name, record in endpoints.items():
            values = _values(arm["endpoints"].get(name) or {})
            best = perfect_value(record)
            if values and best is not None and all(abs(value - best) <= _ROUNDING for value in values):
                perfect.append((record.heading, best, len(values)))
        if perfect:
            heading, best, runs = perfect[0]
            reasons.append(Reason("perfect_arm", arm=arm["name"], endpoint=heading, value=best, runs=runs, cases=cases))
    return reasons


def _values(interval: Mapping[str, Any]) -> list[float]:
    """Return an endpoint's value in each run; none where it has no estimate, or a run has no value."""
    values = [one["value"] for one in interval.get("by_seed") or ()]
    return [] if interval.get("estimate") is None or None in values else [float(value) for value in values]
