"""Columns of tools and public sets are read by their names and what they hold, or asked."""

import pytest

from equipoise.cohorts.layouts.columns import Columns, columns_of
from equipoise.errors import CohortError, ProtocolError


def rows(header: str, *lines: str) -> list[dict[str, str]]:
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


@pytest.mark.parametrize(
    ("table", "roles"),
    [
        (
            rows("SubjectID,Channel_0,Channel_1,ValueToPredict", "p0,a.nii,b.nii,0", "p1,c.nii,d.nii,1"),
            Columns({"channel_0": "Channel_0", "channel_1": "Channel_1"}, patient="SubjectID", label="ValueToPredict"),
        ),
        (
            rows("SubjectID,Channel_0,Label", "p0,a.nii.gz,m.nii.gz", "p1,b.nii.gz,n.nii.gz"),
            Columns({"channel_0": "Channel_0"}, patient="SubjectID", mask="Label"),
        ),
        (
            rows("lesion_id,image_id,dx,age", "L0,I0,mel,30", "L0,I1,nv,30"),
            Columns({"image": "image_id"}, patient="lesion_id", label="dx"),
        ),
        (
            rows("Patient ID,x,File Name,Diagnosis,Split", "p,1,a.png,b,TRAIN", "q,2,b.png,m,Test"),
            Columns({"image": "File Name"}, patient="Patient ID", label="Diagnosis", part="Split"),
        ),
        (
            rows("id,image,label,fold", "1,a.png,x,0", "2,b.png,y,1"),
            Columns({"image": "image"}, case="id", label="label"),
        ),
        (
            rows("case,patient,image_t1,image_path_2,mask", "1,p,a.nii,b.nii,m.nii"),
            Columns({"t1": "image_t1", "path_2": "image_path_2"}, case="case", patient="patient", mask="mask"),
        ),
    ],
)
def test_known_columns(table: list[dict[str, str]], roles: Columns) -> None:
    assert columns_of(table) == roles


def test_what_is_not_certain_is_asked_with_a_remedy() -> None:
    table = rows("image,diagnosis,target", "a.png,x,0", "b.png,y,1")
    with pytest.raises(
        CohortError, match=r"2 columns that could be the label \(diagnosis, target\); say which one is"
    ) as ask:
        columns_of(table, where="t.csv")
    assert 'cohort.columns = {label = "diagnosis"}' in str(ask.value)
    assert columns_of(table, {"label": "target"}).label == "target"


def test_stated_columns_must_be_there() -> None:
    table = rows("image,kind", "a.png,x", "b.png,y")
    assert columns_of(table, {"label": "kind"}).label == "kind"
    assert columns_of(table, {"label": ["kind", "image"]}).label == ("kind", "image")
    with pytest.raises(ProtocolError, match="has no column 'kid'; did you mean 'kind'"):
        columns_of(table, {"label": "kid"})
    with pytest.raises(ProtocolError, match="the role 'labl' is unknown; did you mean 'label'"):
        columns_of(table, {"labl": "kind"})


@pytest.mark.parametrize(("role", "other"), [("label", "Label "), ("label", "dx"), ("patient", "subject_id")])
def test_a_column_of_the_exact_name_is_asked_where_another_one_says_something_else(role, other):
    rows = [{role: "ab"[k % 2], other: "xy"[k // 2], "image": f"{k}.png"} for k in range(4)]
    with pytest.raises(CohortError, match=f"{role!r} and {other!r}, which both could be the {role}"):
        columns_of(rows, doubted=(role,))
    assert getattr(columns_of(rows, {role: role}, doubted=(role,)), role) == role
    contrary = [{role: "ab"[k % 2], other: "ba"[k % 2], "image": f"{k}.png"} for k in range(4)]
    with pytest.raises(CohortError, match="and differ; say which one is"):
        columns_of(contrary, doubted=(role,))
    alike = [{role: "ab"[k % 2], other: "xy"[k % 2], "image": f"{k}.png"} for k in range(4)]
    assert getattr(columns_of(alike, doubted=(role,)), role) == role


def test_two_masks_of_a_row_are_asked():
    rows = [{"image": f"{k}.nii", "mask": f"a{k}.nii", "seg": f"b{k}.nii"} for k in range(3)]
    with pytest.raises(CohortError, match="'mask' and 'seg'"):
        columns_of(rows, doubted=("mask",))
    assert columns_of([row | {"seg": row["mask"]} for row in rows], doubted=("mask",)).mask == "mask"
