"""The names of arms and trivial rules, the same on a page and in the sentences of results.json."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.text.words import baseline_name
from equipoise.runfolder.read import RunFolder


def names_in(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the same names from results.json; results of an earlier version name a rule as it is recorded."""
    arms = {str(entry["name"]): str(entry["name"]) for entry in (*results["arms"], *results["untuned"])}
    return {str(rule["name"]): str(rule.get("display", rule["name"])) for rule in results["baselines"]} | arms


def display_names(run: RunFolder) -> dict[str, str]:
    """Return the display names of all arms and baselines."""
    size = run.lock["cohort"].get("size_attribute")
    names = {name: name for name in (*run.arms(), *(str(arm["name"]) for arm in run.untuned()))}
    return names | {job.arm: baseline_name(job.arm, size) for job in run.baselines if job.arm not in names}
