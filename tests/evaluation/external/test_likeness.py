"""Ids that look alike are told, not taken for two cases or two people in silence."""

from typing import Any

import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.likeness import plain, refuse_unlisted
from equipoise.trials.audit import audit


def table(first: list[str], second: list[str], **more: list[Any]) -> dict[str, Any]:
    n = len(first)
    return {"arm": ["a"] * n + ["b"] * n, "case": first + second, "dice": [0.8, 0.9] * n, **more}


@pytest.mark.parametrize("other", ["Case_{:03d}", "case{:d}", "CASE-{:02d}", "case_{:d}"])
def test_two_names_of_one_case_are_told(other: str) -> None:
    names, others = [f"case_{i:02d}" for i in range(6)], [other.format(i) for i in range(6)]
    with pytest.raises(PredictionError, match=r"look alike but differ \(6 such cases\)"):
        audit(table(names, others), cases_are_patients=True)


@pytest.mark.parametrize("other", ["case_{:02d}.nii.gz", " case_{:02d} ", "case_{:02d}.png"])
def test_blanks_and_suffixes_are_no_part_of_a_name(other: str) -> None:
    names, others = [f"case_{i:02d}" for i in range(6)], [other.format(i) for i in range(6)]
    assert audit(table(names, others), cases_are_patients=True)["cohort"]["cases"] == 6


def test_what_differs_in_numbers_is_two_cases() -> None:
    assert plain("1.2.34") != plain("12.3.4")
    assert plain("1-23") != plain("12-3")
    assert plain("s_010") == plain("S10")


def test_patients_that_look_alike_are_warned_of() -> None:
    names = [f"c{i}" for i in range(6)]
    people = ["P-1", "P_1", "x", "y", "z", "w"]
    found = audit(table(names, names, patient=people * 2))
    assert any("'P-1' and 'P_1' look alike" in warning for warning in found["warnings"])


def test_a_list_of_patients_with_other_names_is_told() -> None:
    names = [f"c{i}" for i in range(6)]
    with pytest.raises(PredictionError, match="looks like"):
        audit(table(names, names), patients={f"C0{i}": f"p{i}" for i in range(6)})


@pytest.mark.parametrize("other", ["u-net", "U Net", "UNET", "unet "])
def test_two_names_of_one_arm_are_asked_about(other: str) -> None:
    names = [f"c{i}" for i in range(6)]
    columns = table(names, names) | {"arm": ["unet"] * 6 + [other] * 6}
    if other.strip() == "unet":  # blanks around a name are taken away: twelve rows of one arm
        with pytest.raises(PredictionError, match="more than one test row"):
            audit(columns, cases_are_patients=True)
        return
    with pytest.raises(PredictionError, match=f"the arms 'unet' and '{other}' look alike"):
        audit(columns, cases_are_patients=True)


def test_cases_that_a_list_lacks_are_shown_beside_what_looks_like_them() -> None:
    listed = {"088699": "1", "003667": "0", "123456": "0"}
    with pytest.raises(
        PredictionError, match=r"no case of v1 is in the reference r; '88699' looks like '088699' \(2 su"
    ):
        refuse_unlisted(["88699", "3667"], listed, "v1", "the reference r")
    with pytest.raises(PredictionError, match=r"1 of 2 cases of v1 are not .*; '88699.0' looks like '088699' \(1 such"):
        refuse_unlisted(["88699.0", "123456"], listed, "v1", "the reference r")
    with pytest.raises(PredictionError, match=r"2 of 3 cases of v1 are not in .*, 'x' first; add them to it"):
        refuse_unlisted(["x", "123456", "y", "x"], listed, "v1", "the reference r")
    refuse_unlisted(["123456"], listed, "v1", "the reference r")
