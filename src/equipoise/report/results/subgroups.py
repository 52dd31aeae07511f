"""Subgroups of the test patients: those of the protocol, and thirds by size in cohorts with a size attribute."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from equipoise.evaluation.predictions import Predictions
from equipoise.report.results.own_endpoints import own_endpoints
from equipoise.report.results.plain import json_safe
from equipoise.runfolder.read import RunFolder
from equipoise.statistics.subgroups import Attribute, subgroups, thirds

MOST_VALUES = 6
"""A numeric attribute with more values than this is shown in thirds."""
MOST_PAIRS = 15
"""With more pairs than this no difference is tested by subgroup: adjusted for all, no test would have power."""


def subgroup_results(run: RunFolder, test: Predictions, positive: int | None) -> list[dict[str, Any]]:
    """Return per attribute the primary endpoint of every arm in every group, and tests whether it varies between them.

    Tested are every arm, every rule, and every difference that the trial compares (unless these are too many).
    """
    attributes = grouped_attributes(run)
    if not attributes:
        return []
    rules = list(dict.fromkeys(job.arm for job in run.baselines))
    names = [name for name in (*run.arms(), *rules) if name in set(test.arm.tolist())]
    arms = test.where(np.isin(test.arm, names))
    analysed = subgroups(
        arms,
        attributes,
        endpoint=run.lock["endpoints"]["primary"],
        positive=positive,
        pairs=_compared([name for name in names if name not in rules], run.lock["endpoints"].get("family", "all")),
        deterministic=rules,
        arms=names,
        custom=own_endpoints(run.lock, run.path, arms.metrics),
        elsewhere=bool(run.sources),
    )
    return [_plain(attribute) for attribute in analysed]


def _compared(arms: list[str], family: str) -> list[tuple[str, str]]:
    pairs = list(combinations(arms, 2)) if family == "all" else [(arm, family) for arm in arms if arm != family]
    return [pair for pair in pairs if len(pairs) <= MOST_PAIRS and set(pair) <= set(arms)]


def grouped_attributes(run: RunFolder) -> dict[str, dict[str, str]]:
    """Return attribute → case → group, for the attributes in the protocol and the cohort's size attribute."""
    size = run.lock["cohort"].get("size_attribute")
    names = [*(run.lock["endpoints"].get("subgroups") or ()), *([size] if size else ())]
    grouped = {}
    for name in dict.fromkeys(names):
        values = {row["case"]: row[name] for row in run.cases if row.get(name, "") != ""}
        if values:
            grouped[name] = _thirds_where_numeric(values)
    return grouped


def _thirds_where_numeric(values: Mapping[str, str]) -> dict[str, str]:
    # Few numbers are codes or grades, each a group of its own; many are measurements.
    if len(set(values.values())) <= MOST_VALUES:
        return dict(values)
    try:
        return thirds({case: float(value) for case, value in values.items()})
    except ValueError:
        return dict(values)


def _plain(attribute: Attribute) -> dict[str, Any]:
    groups = [
        {
            "value": group.value,
            "n_patients": group.n_patients,
            "n_cases": group.n_cases,
            "reason": group.reason or "",
            "arms": {
                arm: {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
                for arm, interval in group.intervals.items()
            },
        }
        for group in attribute.groups
    ]
    return {"attribute": attribute.name, "groups": groups, "tests": [json_safe(test) for test in attribute.tests]}
