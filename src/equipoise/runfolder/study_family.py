"""Trials of one study that open the same test cases, or test cases of one cohort, are one family.

The family is computed when the study is begun, before any trial is trained, and every trial's lock keeps its part of
it: a run folder that is taken out of its study says of which others it is one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from equipoise.runfolder.opened_cases import OpenedCases
from equipoise.runfolder.paths import STUDY_PLAN
from equipoise.runfolder.read import read_study_plan

FAMILIES = "shared_test_cases"
"""Key of study-plan.json: pairs of trials that share test cases or a cohort."""
MEMBERS = "planned_trials"
"""Key of study-plan.json: of each trial, by "COHORT/MODEL", the hash of its protocol and the cohort's fingerprint."""
_PLAN = "plan_sha256"
_PROTOCOL, _FINGERPRINT = "protocol_sha256", "fingerprint"


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


def members(trials: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Return what study-plan.json keeps of each trial. trials: by "COHORT/MODEL", both hashes; see `MEMBERS`."""
    return {name: {_PROTOCOL: protocol, _FINGERPRINT: cohort} for name, (protocol, cohort) in trials.items()}


def family_of(folder: Path, lock: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a trial's lock keeps of its study; None where it is in none, or is none of its trials.

    {"name", "study_sha256", "plan_sha256", "trial", "correction", "shares": [{"trial", "test_cases_shared"}]}
    lock: the plan that is to be run, or was, in the folder.
    """
    place = folder.parent.parent
    if not (place / STUDY_PLAN).is_file():
        return None
    study = read_study_plan(place)
    trial = f"{folder.parent.name}/{folder.name}"
    if not _is_member(study, trial, lock):
        return None
    return {
        "name": str(study.get("name", "")),
        "study_sha256": str(study.get("study_sha256")),
        **({_PLAN: _hash(study)} if MEMBERS in study else {}),
        "trial": trial,
        "correction": str(study.get("correction", "none")),
        "shares": [
            {"trial": row["b"] if row["a"] == trial else row["a"], "test_cases_shared": row["test_cases_shared"]}
            for row in related_trials(study)
            if trial in (row["a"], row["b"])
        ],
    }


def identity_of(family: Mapping[str, Any]) -> str:
    """Return by what the registry knows a study: equal for the same study in another folder.

    The hash of the whole plan: whoever writes a trial into study-plan.json, or takes the list out, has another study.
    """
    return str(family.get(_PLAN) or family["study_sha256"])


def _is_member(study: Mapping[str, Any], trial: str, lock: Mapping[str, Any]) -> bool:
    """Return whether a plan is the one that the study has for this trial, alpha included; earlier versions kept none.

    Otherwise a run of any plan that is laid into the folder of a trial would count the study's openings as its own.
    """
    if MEMBERS not in study:
        return True
    known = study[MEMBERS]
    own = {_PROTOCOL: lock["protocol_sha256"], _FINGERPRINT: lock["cohort"].get("fingerprint")}
    return isinstance(known, Mapping) and known.get(trial) == own


def _hash(study: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(study, sort_keys=True).encode()).hexdigest()


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
