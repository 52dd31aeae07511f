"""One column of ids under a heading for patients, beside a list that gives the ids their patients."""

import re
import shlex
from pathlib import Path

import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, Collected, collect, collect_table, parse_columns
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


def test_a_list_of_other_ids_or_beside_a_stated_column_is_refused_with_what_leads_on(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="--patients does nothing .*no case of theirs is in the list"):
        both(tmp_path, ("Patient No.", "Patient No."), patients={"X1": "X"})
    columns = COLUMNS | {"patient": IDS}
    with pytest.raises(PredictionError, match="--patients does nothing .*leave patient= out of it"):
        collect_table(columns, AuditOptions(patients=LIST, columns={"patient": ("patient",)}))
    with pytest.raises(PredictionError, match="1 of 4 cases of .* are not in the list of patients, 'P3' first"):
        both(tmp_path, ("Patient No.",) * 2, patients={one: LIST[one] for one in IDS[:3]})
    assert with_listed_patients([], AuditOptions(patients=LIST)) == []


COLUMNS = {"case": IDS, "truth": ["0", "1"] * 2, "prob": [0.1, 0.2, 0.3, 0.4], "arm": ["A"] * 4}


@pytest.mark.parametrize("heading", ["patient", "Subject", "MRN"])
def test_a_list_beats_a_column_that_its_heading_alone_tells(heading: str) -> None:
    same = collect_table(COLUMNS | {heading: ["P1", "P2", "p 02", "P3"]}, AuditOptions(patients=LIST))
    assert same.predictions.patient.tolist() == list(LIST.values())
    assert not same.notes
    assert any("not of its column" in one and one.endswith(f"{heading!r}.") for one in same.readings)
    other = collect_table(COLUMNS | {heading: ["P1", "Q", "Q", "P3"]}, AuditOptions(patients=LIST))
    assert other.predictions.patient.tolist() == list(LIST.values())
    assert "names another patient for 2 of 4 cases" in other.notes[0]


def test_a_list_that_lacks_cases_names_the_column_that_would_decide() -> None:
    columns, few = COLUMNS | {"Sub ject": ["7", "7", "8", "9"]}, {one: LIST[one] for one in IDS[:3]}
    with pytest.raises(PredictionError, match="1 of 4 cases .*'P3' first; add them") as refusal:
        collect_table(columns, AuditOptions(patients=few))
    # What the refusal proposes, as a shell divides it, leads on.
    option, value = shlex.split(re.findall(r"\((--columns .*)\)", str(refusal.value))[0])
    assert option == "--columns"
    read = collect_table(columns, AuditOptions(patients=None, columns=parse_columns(value)))
    assert read.predictions.patient.tolist() == columns["Sub ject"]


def test_other_patients_in_another_arm_are_told_apart_with_a_remedy_for_patients() -> None:
    columns = {"case": ["P2_L"] * 2, "patient": ["P2_L", "P2"], "truth": ["0"] * 2, "prob": [0.1, 0.2]}
    read = collect_table(columns | {"arm": ["A", "B"]}, AuditOptions())
    with pytest.raises(PredictionError, match="another patient .*: 'P2' and 'P2_L' .*--patients FILE") as refusal:
        same_truths(read.predictions, common_cases=False)
    assert "same truth" not in str(refusal.value)
    assert "--columns case=" in str(refusal.value)
