"""Folds that share some cases, or divide a patient, are refused by name: networks knew what they were tested on."""

from typing import Any

import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.fold_sets import whole_folds
from equipoise.evaluation.external.tables import from_table
from equipoise.evaluation.predictions import Predictions
from equipoise.trials.audit import audit


def columns(cases: list[str], patients: list[str], folds: list[int]) -> dict[str, Any]:
    """One run of two arms, which test the same cases in the same folds."""
    n = len(cases)
    dice = [0.5 + 0.01 * k for k in range(2 * n)]
    return {"arm": ["a"] * n + ["b"] * n, "case": cases * 2, "patient": patients * 2, "fold": folds * 2, "dice": dice}


def table(cases: list[str], patients: list[str], folds: list[int]) -> Predictions:
    return from_table(columns(cases, patients, folds))


def test_a_patient_in_two_folds_is_refused_or_told() -> None:
    divided = table(["1a", "2a", "1b", "2b"], ["1", "2", "1", "2"], [0, 0, 1, 0])
    with pytest.raises(PredictionError, match=r"patient '1' has case '1a' in fold 0 and case '1b' in fold 1 \(1 "):
        whole_folds(divided, allowed=False)
    assert "which was allowed" in whole_folds(divided, allowed=True)[0]
    assert whole_folds(table(["1a", "2a", "1b", "2b"], ["1", "2", "1", "2"], [0, 1, 0, 1]), allowed=False) == []


def test_a_case_in_two_folds_is_refused_by_name() -> None:
    with pytest.raises(PredictionError, match=r"case '2' is tested in fold 0 and in fold 1 of arm 'a', seed 0"):
        whole_folds(table(["1", "2", "2", "3"], ["1", "2", "2", "3"], [0, 0, 1, 1]), allowed=True)


def test_folds_dealt_again_and_a_missing_row_are_no_fault_of_folds() -> None:
    twice = table(["1", "2", "1", "2"], ["1", "2", "1", "2"], [0, 1, 3, 2])
    assert whole_folds(twice, allowed=False) == []
    assert whole_folds(table(["1", "3"], ["1", "3"], [0, 1]), allowed=False) == []
    # Dealt again with other halves of a patient in one fold: 1a and 1b are apart the second time.
    again = table(["1a", "1b", "2", "1a", "1b", "2"], ["1", "1", "2", "1", "1", "2"], [0, 0, 1, 2, 3, 3])
    with pytest.raises(PredictionError, match="patient '1' has case '1a' in fold 2 and case '1b' in fold 3"):
        whole_folds(again, allowed=False)


def test_an_audit_asks_before_it_judges() -> None:
    cases = [f"c{k}" for k in range(40)]
    divided = columns(cases, [f"p{k % 20}" for k in range(40)], [k // 20 for k in range(40)])
    with pytest.raises(PredictionError, match="20 patients are divided like this"):
        audit(divided)
    assert any("c0" in one and "allowed" in one for one in audit(divided, allow_trained=True)["warnings"])
