"""Numbers that mark a failed case in place of a measurement, such as 9999: their mean tells their size alone."""

import math
import re
from collections.abc import Mapping

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.kinds import Endpoint

_MARK = re.compile(r"9{3,}|10{3,}")
_LONGEST_MM = 5000.0
"""Longer than any image of a person."""
_PERFECT, _TIMES_OTHERS = 5, 5
"""Perfect cases of one arm that are suspicious, and how many times as many as those of any other arm they must be."""
_TIMES_A_MARK, _TIMES_DOUBTFUL = 2.0, 5.0
"""A mark is so many times the next value; so is a doubtful value that several cases share."""


def refuse_marks(table: Predictions, known: Mapping[str, Endpoint], failed: Mapping[str, float]) -> list[str]:
    """Return notes on worst values that several cases share, which may mark failures.

    known: the endpoints by name; those with a worst end are left out. failed: values of failed cases, by endpoint.
    Raises PredictionError for a worst value that is a mark and that nobody stated as the value of a failed case.
    """
    notes = []
    for name, endpoint in known.items():
        if name not in table.metrics or not math.isinf(endpoint.low if endpoint.higher_is_better else endpoint.high):
            continue
        values = endpoint.judged(table.metrics[name][table.split == "test"])
        values = values[np.isfinite(values)]
        if len(np.unique(values)) < 2:
            continue
        worst = float(values.min() if endpoint.higher_is_better else values.max())
        equal, following = int((values == worst).sum()), float(np.abs(values[values != worst]).max())
        if worst == failed.get(name):
            continue
        if _is_mark(abs(worst), following, endpoint.unit):
            raise PredictionError(
                f"{name} is {worst:.12g} in {equal} row{'s' * (equal > 1)}, and at most {following:g} in the others: "
                "it marks a failure and is no measurement; write what a failed case counts as in its place and "
                f"state it (--failure-value {name}=60), or state this value (--failure-value {name}={worst:.12g})"
            )
        if equal > 1 and abs(worst) >= _TIMES_DOUBTFUL * following:
            notes.append(
                f"{name} is {worst:.12g} in {equal} rows, and at most {following:g} in the others: if this is the "
                "value of failed cases, the difference depends on its choice; "
                f"--failure-value {name}={worst:.12g} states it."
            )
    return notes


def perfect_marks(table: Predictions, known: Mapping[str, Endpoint], failed: Mapping[str, float]) -> list[str]:
    """Return notes on best possible values that many cases of one arm have and next to none of any other arm.

    A program that writes 0 for a failed case makes its worst cases the best ones. known, failed: as `refuse_marks`.
    """
    notes = []
    test = table.where(table.split == "test")
    for name, endpoint in known.items():
        if name not in test.metrics or endpoint.higher_is_better:
            continue
        values = endpoint.judged(test.metrics[name])
        best = float(endpoint.best) if math.isfinite(endpoint.best) else 0.0
        if (values < best).any():
            continue
        perfect = {arm: _cases_at(test.where(test.arm == arm), name, endpoint, best) for arm in test.arms()}
        arm = max(perfect, key=lambda one: perfect[one])
        most, others = perfect.pop(arm), max(perfect.values(), default=math.inf)
        if most < _PERFECT or others * _TIMES_OTHERS > most:
            continue
        beside = f", although failed cases were stated to be {failed[name]:g}" if name in failed else ""
        notes.append(
            f"{name} is {best:g}, the best possible value, in {most} cases of {arm} and in at most {others} of any "
            f"other arm: if it marks failed cases there{beside}, {arm} wins by its failures; write what a failed case "
            "counts as in its place."
        )
    return notes


def _cases_at(rows: Predictions, name: str, endpoint: Endpoint, value: float) -> int:
    """Return the number of cases in which a run of an arm has exactly this value."""
    return len(np.unique(rows.case[endpoint.judged(rows.metrics[name]) == value]))


def _is_mark(worst: float, following: float, unit: str) -> bool:
    """Return whether a worst value is a number of nines, a power of ten, or longer than any image."""
    beyond = worst >= _TIMES_A_MARK * following
    return beyond and (_MARK.fullmatch(f"{worst:.12g}") is not None or (unit == "mm" and worst > _LONGEST_MM))
