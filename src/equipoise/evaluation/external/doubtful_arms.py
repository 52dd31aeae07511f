"""Remarks on arms that are too good, or of another kind: the truth's own files, and calls among graded scores."""

import numpy as np

from equipoise.evaluation.external.case_numbers import FEWEST_DISTINCT
from equipoise.evaluation.predictions import Predictions

_OVERLAPS = ("dice", "iou")


def called_arms(table: Predictions) -> list[str]:
    """Note arms whose scores are 0 and 1 alone where those of another arm are graded: a curve of one point."""
    test = table.where(table.split == "test")
    if not table.classes or not len(test):
        return []
    calls = {arm: bool(np.isin(test.scores[test.arm == arm], (0.0, 1.0)).all()) for arm in test.arms()}
    called = [arm for arm, only in calls.items() if only]
    if not called or len(called) == len(calls):
        return []
    note = (
        f"The scores of {', '.join(called)} are only 0 and 1, as predicted classes are, and those of "
        f"{', '.join(arm for arm in calls if arm not in called)} are graded: AUC and other endpoints of ranks favour "
        "graded scores; give the scores of every arm, or compare predicted classes (--primary balanced_accuracy)."
    )
    return [note]


def perfect_arms(table: Predictions) -> list[str]:
    """Note arms that agree with the truth in every case: their files may be copies of it."""
    test = table.where(table.split == "test")
    notes = []
    for arm in test.arms():
        own = test.where(test.arm == arm)
        measured = next((one for one in own.metrics if one.split("_")[0] in _OVERLAPS), None)
        what = ""
        if measured is not None and (own.metrics[measured] == 1).all():
            what = f"a {measured} of 1"
        elif len(own.classes) > 1 and np.array_equal(own.scores, np.eye(len(own.classes))[own.truth]):
            what = "scores of 1 for the true class and 0 for others"
        cases = len(set(own.case.tolist()))
        if what and cases >= FEWEST_DISTINCT:
            notes.append(
                f"The arm {arm} has {what} in each of {cases} cases, as if the truth itself were given as its "
                "predictions; check its files."
            )
    return notes
