"""An arm without a single error is pointed out: more often the truth is among its inputs than its task is solved."""

import numpy as np
import pytest

from equipoise.report.results.perfect import FEWEST_CASES, perfect_arms
from equipoise.report.text.reasons import sentence
from equipoise.statistics.endpoints import endpoint_named, perfect_value
from equipoise.statistics.kinds import Endpoint, Kind
from equipoise.trials.audit import audit

RECORDS = {name: endpoint_named(name, ["dice"], ["x", "y"]) for name in ("auc", "sensitivity", "brier", "dice")}


def arm(name, **values):
    endpoints = {
        key: {"estimate": float(np.mean(runs)), "by_seed": [{"seed": n, "value": one} for n, one in enumerate(runs)]}
        for key, runs in values.items()
    }
    return {"name": name, "endpoints": endpoints}


def test_every_run_has_to_be_perfect():
    arms = [arm("a", auc=[1, 1, 1 - 1e-16]), arm("b", auc=[1, 0.999, 1]), arm("c", dice=[1.0]), arm("d")]
    reasons = perfect_arms(arms, RECORDS, FEWEST_CASES + 1)
    assert [(one.facts["arm"], one.facts["runs"]) for one in reasons] == [("a", 3), ("c", 1)]
    assert sentence(reasons[0]) == (
        "a is perfect in each of 3 runs (AUC 1 on 21 test cases): look for the truth among its inputs (names, borders, "
        "markers, files that own code reads)."
    )
    assert "in its only run (Dice 1 " in sentence(reasons[1])
    assert perfect_arms(arms, RECORDS, FEWEST_CASES) == []


def test_what_a_constant_answer_reaches_is_not_perfect():
    assert perfect_arms([arm("a", sensitivity=[1.0], brier=[0.0])], RECORDS, 100) == []


@pytest.mark.parametrize(
    ("record", "best"),
    [
        (Endpoint("mine:error", Kind.POOLED, low=0.0, high=np.inf, higher_is_better=False), 0.0),
        (Endpoint("mine:gain", Kind.POOLED, low=0.0, high=np.inf), None),
        (Endpoint("mine:score", Kind.POOLED, low=0.0, high=5.0), 5.0),
    ],
)
def test_an_endpoint_of_ones_own_has_the_best_value_that_it_states(record, best):
    assert perfect_value(record) == best


@pytest.mark.long
def test_an_audit_points_it_out_and_not_where_one_case_is_wrong():
    truth = np.arange(60) % 2
    rows = {key: np.tile([f"{n:02d}" for n in range(60)], 2) for key in ("case", "patient")}
    table = rows | {"arm": np.repeat(["a", "b"], 60), "truth": np.tile(truth, 2)}
    wrong = np.where(np.arange(60) == 7, 1 - truth, truth)
    scores = np.concatenate([0.2 + 0.6 * truth, 0.2 + 0.6 * wrong])
    results = audit(table | {"score": scores})
    assert [text[: text.index("(")] for text in results["perfect"]] == ["a is perfect in its only run "]
    assert results["perfect"][0] in results["warnings"]
