"""Cases that the arms do not share, or share with another truth, are refused by name or left out and counted."""

from typing import Any

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.agreement import common, disjoint, same_truths, unpredicted, valued
from equipoise.evaluation.external.tables import from_table
from equipoise.evaluation.predictions import Predictions


def table(**columns: Any) -> Predictions:
    n = len(columns["case"])
    return from_table({"arm": ["a", "b"] * (n // 2), **columns}, cases_are_patients="patient" not in columns)


def test_another_truth_or_patient_is_refused_or_left_out() -> None:
    scores = {"score_x": [0.1] * 4, "score_y": [0.9] * 4}
    good = table(case=["1", "1", "2", "2"], truth=["x", "x", "y", "y"], **scores)
    assert same_truths(good, common_cases=False) == (good, [])
    bad = table(case=["1", "1", "2", "2"], truth=["x", "y", "y", "y"], **scores)
    with pytest.raises(PredictionError, match="case '1' has another truth in arm 'b' than in 'a'"):
        same_truths(bad, common_cases=False)
    kept, notes = same_truths(bad, common_cases=True)
    assert kept.case.tolist() == ["2", "2"]
    assert "1 of 2 cases" in notes[0]
    people = table(case=["1", "1"], patient=["p", "q"], dice=[0.1, 0.2])
    with pytest.raises(PredictionError, match="another patient"):
        same_truths(people, common_cases=False)


def test_the_size_of_a_true_mask_tells_another_truth() -> None:
    found = table(case=["1", "1"], dice=[0.1, 0.2], truth_voxels_core=[10.0, 11.0])
    with pytest.raises(PredictionError, match="truth_voxels_core"):
        same_truths(found, common_cases=False)


def test_common_cases_are_those_of_every_run() -> None:
    found = from_table(
        {"arm": ["a", "a", "a", "b"], "seed": [0, 0, 1, 0], "case": ["1", "2", "1", "1"], "dice": [0.1, 0.2, 0.3, 0.4]},
        cases_are_patients=True,
    )
    kept, notes = common(found)
    assert kept.case.tolist() == ["1", "1", "1"]
    assert "1 of 2 test cases" in notes[0]
    with pytest.raises(PredictionError, match="no test case in common"):
        common(table(case=["1", "2"], dice=[0.1, 0.2]))


def test_what_no_arm_defines_is_left_out_but_a_failure_is_not() -> None:
    nan = float("nan")
    found = table(case=["1", "1", "2", "2", "3", "3"], dice=[nan, nan, 0.3, nan, 0.5, 0.6])
    kept, notes = common(found)
    assert kept.case.tolist() == ["2", "2", "3", "3"]  # one arm's NaN is its own doing
    assert np.isnan(kept.metrics["dice"][1])
    assert "not a number in every arm" in notes[0]


def test_a_structure_that_no_arm_has_costs_the_case_only_where_it_is_judged() -> None:
    nan = float("nan")
    columns = {"dice": [0.5, 0.6, 0.3, 0.4], "dice_a": [0.5, 0.6, 0.2, 0.3], "dice_b": [nan, nan, 0.4, 0.5]}
    found = table(case=["1", "1", "2", "2"], **columns)
    kept, notes = common(found)
    assert (kept.case.tolist(), notes) == (["1", "1", "2", "2"], [])
    kept, notes = common(found, ["dice_b"])
    assert kept.case.tolist() == ["2", "2"]
    assert notes == ["1 of 2 test cases has a value that is not a number in every arm and was left out, as requested."]
    gone = table(case=["1", "1", "2", "2"], **columns | {"dice": [nan, nan, 0.3, 0.4]})
    assert common(gone)[0].case.tolist() == ["2", "2"]


def test_all_cases_that_are_left_out_are_counted_among_the_same() -> None:
    nan = float("nan")
    rows = {"arm": list("ababa"), "case": list("11223"), "dice": [nan, nan, 0.3, 0.4, 0.5]}
    found = from_table(rows, cases_are_patients=True)
    assert [note.partition(" test ")[0] for note in common(found)[1]] == ["1 of 3", "1 of 3"]


def test_a_value_that_one_arm_lacks_is_left_out_with_a_warning_that_this_may_favour_it() -> None:
    nan = float("nan")
    lacking = table(case=["1", "1", "2", "2", "3", "3"], dice=[0.2, 0.1, 0.3, nan, 0.5, 0.6])
    kept, notes = valued(lacking, "dice")
    assert kept.case.tolist() == ["1", "1", "3", "3"]
    assert "1 of 3 test cases has no dice in b and was left out" in notes[0]
    assert "if b failed there, this favours it" in notes[0]
    assert notes[0].reasons == {"2": "no_value"}
    assert valued(kept, "dice") == (kept, [])
    with pytest.raises(PredictionError, match="b has no dice of any test case"):
        valued(table(case=["1", "1", "2", "2"], dice=[0.2, nan, 0.3, nan]), "dice")


def test_truths_without_a_prediction_are_named() -> None:
    found = table(case=["1", "1"], dice=[0.1, 0.2])
    assert unpredicted(found, ["1"], common_cases=False) == []
    with pytest.raises(PredictionError, match="first '2'"):
        unpredicted(found, ["1", "2"], common_cases=False)
    assert "1 case of the truth has" in unpredicted(found, ["1", "2"], common_cases=True)[0]


def test_arms_without_a_shared_case() -> None:
    assert disjoint(table(case=["1", "2"], dice=[0.1, 0.2]))
    assert not disjoint(table(case=["1", "1"], dice=[0.1, 0.2]))


def test_where_all_cases_disagree_leaving_them_out_is_not_offered_and_the_reason_is_told() -> None:
    people = table(case=["1", "1", "2", "2"], patient=["p", "q", "r", "s"], dice=[0.1, 0.2, 0.3, 0.4])
    for common_cases in (False, True):
        with pytest.raises(PredictionError, match="another patient") as refusal:
            same_truths(people, common_cases=common_cases)
        assert "--common-cases" not in str(refusal.value)


def test_each_case_that_is_left_out_has_its_own_reason() -> None:
    made = table(
        case=["1", "1", "2", "2", "3", "3", "4", "4"],
        patient=["p", "p", "q", "other", "r", "r", "s", "s"],
        truth=["x", "x", "y", "y", "x", "y", "y", "y"],
        score_x=[0.1] * 7 + [np.nan], score_y=[0.9] * 7 + [np.nan],
    )  # fmt: skip
    kept, notes = same_truths(made, common_cases=True)
    assert kept.case.tolist() == ["1", "1", "4", "4"]
    assert notes[0].reasons == {"2": "other_patient", "3": "other_truth"}  # type: ignore[attr-defined]
    kept, notes = common(kept)
    assert (kept.case.tolist(), notes[0].reasons) == (["1", "1"], {"4": "no_score"})  # type: ignore[attr-defined]
    lacking = common(made.where(np.arange(8) != 7))[1]
    assert lacking[0].reasons == {"4": "no_row"}  # type: ignore[attr-defined]
    assert unpredicted(made, ["9"], common_cases=True)[0].reasons == {"9": "unpredicted"}  # type: ignore[attr-defined]
