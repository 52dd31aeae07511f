"""The table of what the trial would have claimed had its split divided patients, and the sentence above it."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.text.words import endpoint_name, interval, listed, number, plural


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
