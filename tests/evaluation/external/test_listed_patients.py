"""One column of ids under a heading for patients, beside a list that gives the ids their patients."""

from pathlib import Path

import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, Collected, collect, collect_table
from equipoise.evaluation.external.agreement import same_truths
from equipoise.evaluation.external.listed_patients import with_listed_patients

IDS = ["P1", "P2_L", "P2_R", "P3"]
LIST = {"P1": "P1", "P2_L": "P2", "P2_R": "P2", "P3": "P3"}


def table(path: Path, heading: str) -> Path:
    rows = [f"{one};{k % 2};0,{k + 1}" for k, one in enumerate(IDS)]
    if path.suffix == ".xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in [f"{heading};truth;prob", *rows]:
            book.active.append([cell.replace(",", ".") for cell in row.split(";")])
        book.save(path)
    else:
        path.write_text("\n".join([f"{heading};truth;prob", *rows]) + "\n")
    return path


def both(folder: Path, headings: tuple[str, str], suffix: str = "csv", **options: object) -> Collected:
    paths = [(arm, table(folder / f"{arm}.{suffix}", one)) for arm, one in zip("AB", headings, strict=True)]
    return collect(paths, AuditOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
@pytest.mark.parametrize("headings", [("Patient No.", "Patient No."), ("Patient No.", "StudyID"), ("patient", "case")])
def test_a_list_of_the_ids_says_that_they_are_cases(tmp_path: Path, headings: tuple[str, str], suffix: str) -> None:
    result = both(tmp_path, headings, suffix, patients=LIST)
    assert result.predictions.patient.tolist() == [LIST[one] for one in IDS] * 2
    assert "patient" not in result.sources[0].columns
    assert result.sources[0].columns["case"] == headings[0]
    own = [one for one in result.readings if "A." in one and ("case" in one or "patient" in one)]
    assert len(own) == 1
    assert "because the list of patients gives its ids a patient" in own[0]


def test_a_list_of_other_ids_or_beside_a_column_of_cases_is_refused_as_before(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="--patients does nothing"):
        both(tmp_path, ("Patient No.", "Patient No."), patients={"X1": "X"})
    columns = {"case": IDS, "patient": IDS, "truth": ["0", "1"] * 2, "prob": [0.1, 0.2, 0.3, 0.4], "arm": ["A"] * 4}
    with pytest.raises(PredictionError, match="--patients does nothing"):
        collect_table(columns, AuditOptions(patients=LIST))
    with pytest.raises(PredictionError, match="1 of 4 cases of .* are not in the list of patients, 'P3' first"):
        both(tmp_path, ("Patient No.",) * 2, patients={one: LIST[one] for one in IDS[:3]})
    assert with_listed_patients([], LIST) == []


def test_other_patients_in_another_arm_are_told_apart_with_a_remedy_for_patients() -> None:
    columns = {"case": ["P2_L"] * 2, "patient": ["P2_L", "P2"], "truth": ["0"] * 2, "prob": [0.1, 0.2]}
    read = collect_table(columns | {"arm": ["A", "B"]}, AuditOptions())
    with pytest.raises(PredictionError, match="another patient .*: 'P2' and 'P2_L' .*--patients FILE") as refusal:
        same_truths(read.predictions, common_cases=False)
    assert "same truth" not in str(refusal.value)
    assert "--columns case=" in str(refusal.value)
