"""The names of arms and trivial rules, the same on a page and in the sentences of results.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equipoise.report.text.words import baseline_name
from equipoise.runfolder.paths import LOCK
from equipoise.runfolder.read import RunFolder, read_lock


def names_in(results: Mapping[str, Any], lock: Mapping[str, Any]) -> dict[str, str]:
    """Return the same names from results.json and the plan, without reading the predictions."""
    size = lock["cohort"].get("size_attribute")
    arms = {str(entry["name"]): str(entry["name"]) for entry in (*results["arms"], *results["untuned"])}
    return {str(rule["name"]): baseline_name(str(rule["name"]), size) for rule in results["baselines"]} | arms


def display_names(run: RunFolder) -> dict[str, str]:
    """Return the display names of all arms and baselines."""
    size = run.lock["cohort"].get("size_attribute")
    names = {name: name for name in (*run.arms(), *(str(arm["name"]) for arm in run.untuned()))}
    return names | {job.arm: baseline_name(job.arm, size) for job in run.baselines if job.arm not in names}


def plan_of_results(folder: Path) -> Mapping[str, Any]:
    """Return what names need of a folder's plan; nothing of it for an audit, which has no lock."""
    return read_lock(folder) if (folder / LOCK).is_file() else {"cohort": {}}
