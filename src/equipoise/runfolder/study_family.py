"""Trials of one study that open the same test cases, or test cases of one cohort, are one family.

The family is computed when the study is begun, before any trial is trained, and every trial's lock keeps its part of
it: a run folder that is taken out of its study says of which others it is one.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from equipoise.runfolder.opened_cases import OpenedCases
from equipoise.runfolder.paths import STUDY_PLAN
from equipoise.runfolder.read import read_study_plan

FAMILIES = "shared_test_cases"
"""Key of study-plan.json: pairs of trials that share test cases or a cohort."""


def families(trials: Mapping[str, tuple[str, OpenedCases]]) -> list[dict[str, Any]]:
    """Return every pair of related trials and the number of test cases that they share, which may be 0.

    trials: by "COHORT/MODEL", the fingerprint of the cohort and the test cases.
    """
    rows = []
    for (a, (print_a, cases_a)), (b, (print_b, cases_b)) in combinations(trials.items(), 2):
        shared = cases_a.shared_with(cases_b.files, cases_b.pixels_to_keep, cases_b.parts_to_keep)
        one = cases_a.images == cases_b.images if cases_a.images and cases_b.images else print_a == print_b
        if shared or one:
            rows.append({"a": a, "b": b, "test_cases_shared": shared})
    return rows


def family_of(folder: Path) -> dict[str, Any] | None:
    """Return what a trial's lock keeps of its study; None where the run folder is in none.

    {"name", "study_sha256", "trial", "correction", "shares": [{"trial", "test_cases_shared"}]}
    """
    place = folder.parent.parent
    if not (place / STUDY_PLAN).is_file():
        return None
    plan = read_study_plan(place)
    trial = f"{folder.parent.name}/{folder.name}"
    return {
        "name": str(plan.get("name", "")),
        "study_sha256": str(plan.get("study_sha256")),
        "trial": trial,
        "correction": str(plan.get("correction", "none")),
        "shares": [
            {"trial": row["b"] if row["a"] == trial else row["a"], "test_cases_shared": row["test_cases_shared"]}
            for row in related_trials(plan)
            if trial in (row["a"], row["b"])
        ],
    }


def related_trials(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the rows of `families` in the plan of a study; none in that of an earlier version."""
    rows = plan.get(FAMILIES)
    keys = {"a", "b", "test_cases_shared"}
    return [row for row in rows if isinstance(row, Mapping) and keys <= row.keys()] if isinstance(rows, list) else []


def cohort_groups(cohorts: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return for every cohort of a study the first that is of the same cases, by the pairs of related trials.

    >>> cohort_groups(["x", "y", "z"], [{"a": "y/net", "b": "z/net"}])
    {'x': 'x', 'y': 'y', 'z': 'y'}
    """
    first = {name: name for name in cohorts}
    for row in rows:
        a, b = (first.get(str(row[key]).partition("/")[0]) for key in ("a", "b"))
        first = {name: a if a is not None and group == b else group for name, group in first.items()}
    return first
