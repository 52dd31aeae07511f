"""The contrast with a split by case: results of both splits, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.runfolder.read import RunFolder
from equipoise.statistics.endpoints import described


def contrast(own: Sequence[Mapping[str, Any]], other: RunFolder, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `contrast` of results.json.

    own: arms and baselines as planned; other, results: the run by case and its results.
    """
    plan = results["endpoints"]
    shown = list(dict.fromkeys([plan["primary"], *(name for name in plan["secondary"] if described(name).in_contrast)]))
    by_name = {entry["name"]: entry for entry in (*results["arms"], *results["baselines"])}
    rows = [
        {"name": entry["name"], "endpoint": name, **_both(entry, by_name[entry["name"]], name)}
        for entry in own
        if entry["name"] in by_name
        for name in shown
    ]
    return {
        "unit": "case",
        "patients": other.lock["cohort"]["patients"],
        "divided_patients": results["cohort"]["divided_patients"],
        "endpoints": shown,
        "rows": rows,
        "failed_jobs": len(results["failures"]),
    }


def divided_patients(folds: Sequence[Mapping[str, Sequence[str]]], patient: Mapping[str, str]) -> int:
    """Count patients whose cases are in several parts of one fold."""
    divided: set[str] = set()
    for fold in folds:
        seen: dict[str, str] = {}
        for name in ("train", "validation", "test"):
            for case in fold[name]:
                if case in patient and seen.setdefault(patient[case], name) != name:
                    divided.add(patient[case])
    return len(divided)


def _both(own: Mapping[str, Any], other: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one endpoint of one arm in both runs, and the difference due to dividing patients."""
    planned, by_case = (_short(entry["endpoints"].get(name) or {}) for entry in (own, other))
    known = planned["estimate"] is not None and by_case["estimate"] is not None
    difference = by_case["estimate"] - planned["estimate"] if known else None
    return {"as_planned": planned, "by_case": by_case, "difference": difference}


def _short(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.get(key) for key in ("estimate", "low", "high")}
