"""Columns are recognised by the names that tools use; where two could be one, or none is, the caller is asked."""

from typing import Any

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.roles import parse_columns, with_roles
from equipoise.trials.audit import audit


def table(**columns: list[Any]) -> dict[str, np.ndarray]:
    return {name: np.array(values, dtype=object) for name, values in columns.items()}


@pytest.mark.parametrize("name", ["algorithm", "Method", "model_name", "alg_name", "Network"])
def test_a_column_of_methods_has_many_names(name: str) -> None:
    columns, notes = with_roles(table(case=["a"], **{name: ["x"]}), "t", {})
    assert columns["arm"].tolist() == ["x"]
    assert notes == [f"The column {name!r} of t was read as the arm."]


def test_two_columns_that_could_be_one_role_are_a_question() -> None:
    with pytest.raises(PredictionError, match="--columns arm=method"):
        with_roles(table(case=["a"], method=["x"], model=["y"]), "t", {})
    columns, _ = with_roles(table(case=["a"], method=["x"], model=["1"]), "t", parse_columns("arm=method"))
    assert columns["arm"].tolist() == ["x"]
    with pytest.raises(PredictionError, match="did you mean 'method'"):
        with_roles(table(case=["a"], method=["x"]), "t", parse_columns("arm=methods"))


@pytest.mark.parametrize("bad", ["arme=x", "case=", "case=a+b"])
def test_roles_that_are_not_understood_are_refused(bad: str) -> None:
    with pytest.raises(PredictionError, match="columns"):
        parse_columns(bad)


def test_a_wide_table_has_a_column_per_arm() -> None:
    wide = table(StudyID=["s1", "s2"], y_true=[0, 1], unet=[0.1, 0.9], vit=[0.4, 0.6])
    columns, _ = with_roles(wide, "t", parse_columns({"case": "StudyID", "truth": "y_true", "arms": ["unet", "vit"]}))
    assert columns["arm"].tolist() == ["unet", "unet", "vit", "vit"]
    assert columns["case"].tolist() == ["s1", "s2", "s1", "s2"]
    assert columns["score"].tolist() == [0.1, 0.9, 0.4, 0.6]
    values = table(case=["a"], one=[0.8], two=[0.9])
    with pytest.raises(PredictionError, match="--metric dice"):
        with_roles(values, "t", parse_columns("arms=one+two"))
    assert with_roles(values, "t", parse_columns("arms=one+two"), "dice")[0]["dice"].tolist() == [0.8, 0.9]


def test_files_are_cases_without_their_folders_and_suffixes() -> None:
    columns, _ = with_roles(table(filename=["x/c1.nii.gz", " x/c2.nii.gz"], dice=[1, 1]), "t", {})
    assert columns["case"].tolist() == ["c1", "c2"]


def test_one_row_per_subject_is_one_case_each() -> None:
    columns, _ = with_roles(table(subject_id=["s1", "s2", "s1", "s2"], model=["a", "a", "b", "b"]), "t", {})
    assert columns["case"].tolist() == columns["patient"].tolist() == ["s1", "s2", "s1", "s2"]
    twice, _ = with_roles(table(subject_id=["s1", "s1"], model=["a", "a"]), "t", {})
    assert "case" not in twice


def test_usual_spellings_of_metrics_are_ours_and_values_need_a_name() -> None:
    panoptica = {"subject_name": ["s1"], "liver-global_bin_dsc": [0.9], "ungrouped-global_bin_dsc": [0.8]}
    assert {"dice_liver", "dice"} <= set(with_roles(table(**panoptica), "t", {})[0])
    assert "hd95" in with_roles(table(case=["a"], Hausdorff95=[3]), "t", {})[0]
    challenge = table(case=["a"], algorithm=["x"], value=[0.5])
    with pytest.raises(PredictionError, match="--metric"):
        with_roles(challenge, "t", {})
    assert "dice" in with_roles(challenge, "t", {}, "dice")[0]


def test_a_numbered_column_without_a_name_is_left_aside() -> None:
    columns, notes = with_roles({"": np.arange(2), **table(case=["a", "b"])}, "t", {})
    assert list(columns) == ["case"]
    assert "not used" in notes[0]


@pytest.mark.parametrize("name", ["1-dice", "1 - Dice", "100-DSC", "one-dice"])
def test_what_is_lacking_to_a_metric_is_no_metric_of_a_structure(name: str) -> None:
    values = [0.1, 0.2]
    columns, _ = with_roles(table(case=["a", "b"], **{name: values}), "t", {})
    assert columns[name].tolist() == values
    with pytest.raises(PredictionError, match=f"whether a larger '{name}' is better is not known"):
        audit({"arm": ["x", "x", "y", "y"], "case": ["a", "b"] * 2, name: values * 2}, cases_are_patients=True)
    assert "dice_liver" in with_roles(table(case=["a", "b"], **{"liver-dice": values}), "t", {})[0]
