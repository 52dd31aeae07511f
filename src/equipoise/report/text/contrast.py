"""The table of the contrast with a split by case, and the sentence above it."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.text.words import interval, label_of, listed, number, plural


def contrast_table(results: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Return headings, rows of (name, is a baseline, cells), and the sentence above them; None without a second run."""
    contrast = results["contrast"]
    if contrast is None:
        return None
    heads = [
        head
        for name in contrast["endpoints"]
        for head in (f"{label_of(results, name)}, by patient", "by case", "difference")
    ]
    cells: dict[str, list[tuple[str, str]]] = {}
    for row in contrast["rows"]:
        both = [(number(row[key]["estimate"]), interval(row[key]["low"], row[key]["high"])) for key in _KEYS]
        cells.setdefault(row["name"], []).extend([*both, (number(row["difference"], signed=True), "")])
    rules = {entry["name"] for entry in results["baselines"]}
    rows = [(names[name], name in rules, values) for name, values in cells.items()]
    return {"heads": heads, "rows": rows, "sentence": _sentence(results, rules)}


_KEYS = ("as_planned", "by_case")


# The gain has no interval: both splits have test patients in common, and a difference between two test sets is a
# description and no endpoint.
def _sentence(results: Mapping[str, Any], rules: set[str]) -> str:
    """Return the sentence on the number of divided patients and the arms' apparent gain."""
    gains, contrast = [], results["contrast"]
    for name in contrast["endpoints"]:
        added = [
            row["difference"]
            for row in contrast["rows"]
            if row["endpoint"] == name and row["name"] not in rules and row["difference"] is not None
        ]
        if added:
            gains.append(f"{number(sum(added) / len(added), signed=True)} in {label_of(results, name)}")
    divided, everyone = contrast["divided_patients"], plural(contrast["patients"], "patient")
    sentence = f"In a split by case, {divided} of {everyone} would be in more than one part."
    gained = (
        f" On average, the results of the arms would then differ from those of the split by patient by {listed(gains)}."
    )
    return sentence + (gained if gains else "")
