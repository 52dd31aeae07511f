"""What the same trial would have claimed had its split divided patients: both results side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.report.text.words import endpoint_name, interval, listed, number, plural
from equipoise.runfolder.read import RunFolder


def contrast(own: Sequence[Mapping[str, Any]], other: RunFolder, results: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of results.json's `contrast`.

    own: arms and baselines as planned; other, results: the run by case and its results.
    """
    plan = results["endpoints"]
    shown = list(dict.fromkeys([plan["primary"], *(name for name in plan["secondary"] if name == "accuracy")]))
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
    """Patients whose cases lie in several parts of one fold."""
    divided: set[str] = set()
    for fold in folds:
        seen: dict[str, str] = {}
        for name in ("train", "validation", "test"):
            for case in fold[name]:
                if case in patient and seen.setdefault(patient[case], name) != name:
                    divided.add(patient[case])
    return len(divided)


def _both(own: Mapping[str, Any], other: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One endpoint of one arm in both runs, and what dividing patients adds to it."""
    planned, by_case = (_short(entry["endpoints"].get(name) or {}) for entry in (own, other))
    known = planned["estimate"] is not None and by_case["estimate"] is not None
    difference = by_case["estimate"] - planned["estimate"] if known else None
    return {"as_planned": planned, "by_case": by_case, "difference": difference}


def _short(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.get(key) for key in ("estimate", "low", "high")}


def contrast_table(results: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Heads, rows of (name, is a baseline, cells), and the sentence above them; None where there was no second run."""
    found = results["contrast"]
    if found is None:
        return None
    classes = len(results["cohort"]["classes"])
    heads = [
        head
        for name in found["endpoints"]
        for head in (f"{endpoint_name(name, classes)}, by patient", "by case", "by case adds")
    ]
    cells: dict[str, list[tuple[str, str]]] = {}
    for row in found["rows"]:
        both = [(number(row[key]["estimate"]), interval(row[key]["low"], row[key]["high"])) for key in _KEYS]
        cells.setdefault(row["name"], []).extend([*both, (number(row["difference"], signed=True), "")])
    rules = {entry["name"] for entry in results["baselines"]}
    rows = [(names[name], name in rules, values) for name, values in cells.items()]
    return {"heads": heads, "rows": rows, "sentence": _sentence(found, rules, classes)}


_KEYS = ("as_planned", "by_case")


def _sentence(found: Mapping[str, Any], rules: set[str], classes: int) -> str:
    """How many patients were divided, and what the arms seem to gain."""
    gains = []
    for name in found["endpoints"]:
        added = [
            row["difference"]
            for row in found["rows"]
            if row["endpoint"] == name and row["name"] not in rules and row["difference"] is not None
        ]
        if added:
            gains.append(f"{number(sum(added) / len(added), signed=True)} in {endpoint_name(name, classes)}")
    divided = (
        f"Dealt case by case, {found['divided_patients']} of {plural(found['patients'], 'patient')} would lie in more "
        "than one part."
    )
    said = f" The arms would then seem to differ from what new patients give by {listed(gains)} on average."
    return divided + (said if gains else "")
