"""What an arm or a comparison of results.json states: its estimate, its costs, its winner and its loser."""

from collections.abc import Mapping
from math import inf
from typing import Any

Entry = Mapping[str, Any]


def estimate_of(entry: Entry, endpoint: str) -> float | None:
    """Return an arm's estimate of an endpoint; None where it has none."""
    value = (entry["endpoints"].get(endpoint) or {}).get("estimate")
    return None if value is None else float(value)


def parameters_of(arm: Entry) -> float:
    """Return the number of parameters; infinity where it is not known."""
    return float(arm["parameters"]) if arm.get("parameters") is not None else inf


def latency_of(arm: Entry) -> float:
    """Return the latency of one case in ms; infinity where it is not known."""
    value = arm["cost"].get("latency_ms")
    return inf if value is None else float(value)


def memory_of(arm: Entry) -> float:
    """Return the peak memory in MB; infinity where it is not known."""
    value = arm["cost"].get("peak_memory_mb")
    return inf if value is None else float(value)


def burden_of(arm: Entry) -> float:
    """Return the product of latency, parameters and memory."""
    # A product needs no weights between milliseconds and megabytes: halving any of the costs counts the same.
    return latency_of(arm) * parameters_of(arm) * memory_of(arm)


def winner_of(pair: Entry) -> str | None:
    """Return the arm that a comparison shows to be better; None without one."""
    return {"a_better": str(pair["a"]), "b_better": str(pair["b"])}.get(str(pair["verdict"]))


def loser_of(pair: Entry) -> str | None:
    """Return the arm that a comparison shows to be worse; None without one."""
    return {"a_better": str(pair["b"]), "b_better": str(pair["a"])}.get(str(pair["verdict"]))
