"""Equal rows count once and empty ones not at all, with a note; rows of one case that differ are asked about."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, collect
from equipoise.evaluation.external.table_file import table_file

CASES = [f"{k:03d};{'yes' if k % 2 else 'no'};0.{k}" for k in range(10, 19)]


def written(path: Path, rows: list[str], end: str = "\n") -> Path:
    path.write_text(end.join(["case;truth;score", *rows]) + end, encoding="utf-8", newline="")
    return path


def read(path: Path, **options: bool) -> tuple[list[str], str]:
    """The cases that are judged, and the notes."""
    collected = collect([("A", path)], AuditOptions(**{"cases_are_patients": True, **options}))
    return collected.predictions.case.tolist(), " ".join(collected.readings)


def test_equal_rows_count_once(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", [*CASES, CASES[2], CASES[0]])
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(path, sep=";", dtype=str).drop_duplicates()
    cases, notes = read(path)
    assert cases == frame["case"].tolist()
    assert "2 rows of" in notes
    assert "(row 11 that of row 4)" in notes
    assert "Row 11 of" in read(written(tmp_path / "t.csv", [*CASES, CASES[1]]))[1]


def test_equal_rows_of_patients_without_cases_may_be_two_images(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("patient;truth;prediction\np1;0;1\np1;0;1\np2;1;1\n", encoding="utf-8")
    with pytest.raises(
        PredictionError, match=r"patient 'p1' in the rows 2 and 3, which are equal; .*--columns case=NAME"
    ):
        collect([("A", path)], AuditOptions(primary="accuracy", calls=("accuracy",)))
    path.write_text("patient;truth;score\np1;0;.25\np1;0;.25\np2;1;.5\np3;1;.75\np4;0;.1\n", encoding="utf-8")
    assert read(path, cases_are_patients=False)[0] == ["p1", "p2", "p3", "p4"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_empty_rows_are_left_out_and_rows_keep_their_numbers(tmp_path: Path, end: str) -> None:
    table = table_file(written(tmp_path / "t.csv", [CASES[0], ";;", "", CASES[1], ";;", '"a\nb";yes;1'], end))
    # As a spreadsheet numbers them: the header is row 1, and a cell of two lines is in one row.
    assert table.rows.tolist() == [2, 5, 7]
    assert table.notes == (f"2 empty rows of {tmp_path / 't.csv'}, row 3 first, were left out.",)
    assert table.columns["case"].tolist() == ["010", "011", "a b"]


def test_rows_of_one_case_that_differ_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", [*CASES, "012;no;0.99"])
    with pytest.raises(PredictionError, match=r"case '012' in the rows 4 and 11, .*score '0.12' and '0.99'.*keep one"):
        read(path)
    path.write_text(path.read_text().replace("case", "patient"), encoding="utf-8")
    with pytest.raises(PredictionError, match=r"patient '012' in the rows 4 and 11.*--columns case=NAME"):
        read(path)


def test_rows_of_one_case_in_every_case_may_be_arms(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{case};{vendor};0.{case}" for vendor in "xy" for case in range(5)]
    path.write_text("\n".join(["case;vendor;dice", *rows]), encoding="utf-8")
    with pytest.raises(PredictionError, match="--columns arm=vendor"):
        collect([("A", path)], AuditOptions(cases_are_patients=True))


@pytest.mark.long
def test_rows_of_a_sheet_keep_their_numbers(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in ([], ["case", "score"], ["a", 0.5], [], [], ["b", 0.25]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    table = table_file(tmp_path / "t.xlsx")
    assert table.rows.tolist() == [3, 6]
    assert "2 empty rows" in table.notes[0]
    assert "row 4 first" in table.notes[0]
    assert np.array_equal(table.columns["case"], ["a", "b"])
