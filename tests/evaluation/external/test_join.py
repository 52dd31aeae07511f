"""Files of one arm become its runs, folds or further metrics; columns of all files become one table."""

from typing import Any

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.join import Part, join
from equipoise.evaluation.external.reading import Reading
from equipoise.evaluation.external.tables import from_table

PATIENTS = AuditOptions(cases_are_patients=True)


def part(arm: str, fold: int | None = None, path: str = "f", **columns: Any) -> Part:
    return Part(arm, Reading(path, "kind", {name: np.array(values) for name, values in columns.items()}), fold)


def test_the_same_cases_twice_are_runs_and_other_cases_are_folds() -> None:
    runs = join(
        [part("a", case=["1", "2"], dice=[0.1, 0.2]), part("a", case=["2", "1"], dice=[0.3, 0.4])], PATIENTS, None
    )
    assert runs.predictions.seed.tolist() == [0, 0, 1, 1]
    assert "2 training runs" in runs.notes[0]
    folds = join([part("a", 3, case=["1"], dice=[0.1]), part("a", 1, case=["2"], dice=[0.3])], PATIENTS, None)
    assert folds.predictions.fold.tolist() == [3, 1]
    assert "2 folds" in folds.notes[0]
    again = join([part("a", 1, case=["1"], dice=[0.1]), part("a", 1, case=["2"], dice=[0.3])], PATIENTS, None)
    assert again.predictions.fold.tolist() == [0, 1]


def test_files_that_number_their_runs_are_left_alone() -> None:
    found = join(
        [part("a", case=["1"], seed=[4], dice=[0.1]), part("a", case=["1"], seed=[7], dice=[0.2])], PATIENTS, None
    )
    assert found.predictions.seed.tolist() == [4, 7]
    assert not found.notes


def test_other_metrics_of_the_same_cases_stand_beside() -> None:
    found = join(
        [part("a", case=["1", "2"], dice=[0.1, 0.2]), part("a", case=["2", "1"], hd95=[5.0, 6.0])], PATIENTS, None
    )
    assert found.predictions.case.tolist() == ["1", "2"]
    assert found.predictions.metrics["hd95"].tolist() == [6.0, 5.0]


def test_classes_are_brought_to_one_order_and_metrics_to_the_shared_ones() -> None:
    first = part("a", case=["1"], truth=["y"], score_x=[0.2], score_y=[0.8])
    second = part("b", case=["1"], truth=["y"], score_y=[0.7], score_x=[0.3])
    found = join([first, second], PATIENTS, None).predictions
    assert found.classes == ("x", "y")
    assert found.scores.tolist() == [[0.2, 0.8], [0.3, 0.7]]
    assert found.truth.tolist() == [1, 1]
    shared = join([part("a", case=["1"], dice=[0.1], hd95=[3.0]), part("b", case=["1"], dice=[0.2])], PATIENTS, None)
    assert list(shared.predictions.metrics) == ["dice"]
    assert "hd95" in shared.notes[0]


def test_patients_truth_and_subgroups_are_looked_up_by_case() -> None:
    stated = AuditOptions(patients={"1": "p", "2": "p"}, subgroups=("site",))
    one = part("a", case=["1", "2"], score_x=[0.2, 0.4], score_y=[0.8, 0.6], site=["A", "B"])
    found = join([one], stated, {"1": "x", "2": "y"})
    assert found.predictions.patient.tolist() == ["p", "p"]
    assert found.predictions.truth.tolist() == [0, 1]
    assert found.attributes == {"site": {"1": "A", "2": "B"}}
    with pytest.raises(PredictionError, match="in the reference None, .* first; add them"):
        join([one], stated, {"1": "x"})
    with pytest.raises(PredictionError, match="no column 'site'"):
        join([part("a", case=["1"], dice=[0.1])], stated, None)
    with pytest.raises(PredictionError, match="'A' and 'C'"):
        join([one, part("b", case=["1"], score_x=[0.2], score_y=[0.8], site=["C"])], stated, {"1": "x", "2": "y"})


def fold_of(number: int, *cases: str) -> Part:
    return part("one", number, case=list(cases), dice=[0.5] * len(cases))


def test_folds_that_share_a_case_are_refused_by_its_name() -> None:
    folds = [fold_of(0, "c0", "c1", "c2"), fold_of(1, "c3", "c4", "c5"), fold_of(2, "c6", "c7", "c8")]
    assert set(join(folds, PATIENTS, None).predictions.fold.tolist()) == {0, 1, 2}
    with pytest.raises(PredictionError, match=r"'c1' is in fold 0 and in fold 2 of arm 'one'"):
        join([*folds[:2], fold_of(2, "c6", "c7", "c1")], PATIENTS, None)


def test_folds_that_all_predict_the_test_set_are_runs() -> None:
    same = [fold_of(number, "a", "b", "c") for number in range(3)]
    assert set(join(same, PATIENTS, None).predictions.seed.tolist()) == {0, 1, 2}


def judged(arm: str, **dice: list[float]) -> Part:
    """A file of a tool: the Dice of structures, and their mean."""
    columns = {f"dice_{name}": np.array(values) for name, values in dice.items()}
    mean = np.mean(list(columns.values()), axis=0)
    return Part(arm, Reading("f", "k", {"case": np.array(["1", "2"]), **columns, "dice": mean}, structures=tuple(dice)))


def test_means_over_other_structures_are_not_compared() -> None:
    one, both = judged("a", liver=[0.9, 0.8]), judged("b", liver=[0.9, 0.7], tumour=[0.1, 0.2])
    found = join([one, both], PATIENTS, None)
    assert set(found.predictions.metrics) == {"dice_liver"}
    assert any("means dice are over other structures" in note for note in found.notes)
    with pytest.raises(PredictionError, match="the files judge other structures"):
        join([one, judged("b", tumour=[0.1, 0.2])], PATIENTS, None)
    same = join([both, judged("c", tumour=[0.4, 0.2], liver=[0.1, 0.7])], PATIENTS, None)
    assert {"dice", "dice_liver", "dice_tumour"} == set(same.predictions.metrics)
    # A quantity that only begins like a mean's name is none of its parts.
    plain = [part(arm, case=["1"], dice=[0.5], **more) for arm, more in (("a", {"dice_loss": [0.5]}), ("b", {}))]
    assert set(join(plain, PATIENTS, None).predictions.metrics) == {"dice"}


def test_a_table_shows_by_its_numbers_what_its_mean_is_over() -> None:
    liver, tumour = np.array([0.9, 0.8]), np.array([0.1, 0.4])
    one = part("a", case=["1", "2"], dice=liver, dice_liver=liver)
    both = part("b", case=["1", "2"], dice=(liver + tumour) / 2, dice_liver=liver, dice_tumour=tumour)
    assert set(join([one, both], PATIENTS, None).predictions.metrics) == {"dice_liver"}
    other = part("b", case=["1", "2"], dice=[0.3, 0.3], dice_liver=liver, dice_std=tumour)
    assert set(join([one, other], PATIENTS, None).predictions.metrics) == {"dice", "dice_liver"}


@pytest.mark.parametrize("word", ["NA", "nan", "-", "unknown", "None"])
@pytest.mark.parametrize("column", ["case", "patient"])
def test_a_mark_of_a_missing_name_is_no_name(word: str, column: str) -> None:
    columns: dict[str, Any] = {
        "arm": ["a", "a", "a"],
        "case": ["1", "2", "3"],
        "patient": ["p", "q", "r"],
        "dice": [0.5, 0.6, 0.7],
    }
    columns[column] = ["p", word, word]
    with pytest.raises(PredictionError, match=f"2 rows whose {column} is '{word}', which is a placeholder"):
        from_table(columns)
