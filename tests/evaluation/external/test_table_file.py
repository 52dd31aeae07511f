"""Tables as people keep them are one table: separators, encodings, decimal commas, Excel."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import EquipoiseError
from equipoise.evaluation.external.table_file import as_numbers, table_columns

HEAD = ["case", "site", "score"]
ROWS = [["007", "Köln", "0.25"], ["008", "a b", "0.5"], ["009", "Zürich", "0.75"]]


def text(separator: str, comma: bool = False) -> str:
    rows = [[*row[:2], row[2].replace(".", ",") if comma else row[2]] for row in ROWS]
    return "\n".join(separator.join(row) for row in [HEAD, *rows])


FORMS = {
    "plain": text(",").encode(),
    "mark": text(",").encode("utf-8-sig"),
    "windows": text(";", comma=True).encode("cp1252"),
    "utf16": text("\t").encode("utf-16"),
    "stated": ("sep=|\n" + text("|", comma=True)).encode(),
    "lines": text(";").replace("\n", "\r\n").encode() + b"\r\n\r\n",
    "blanks": text(" ; ").encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_columns(form: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(FORMS[form])
    columns, digest = table_columns(path)
    assert [columns[name].tolist() for name in HEAD[:2]] == [[row[0] for row in ROWS], [row[1] for row in ROWS]]
    assert as_numbers(columns["score"]).tolist() == [0.25, 0.5, 0.75]  # type: ignore[union-attr]
    assert len(digest) == 64


def test_thousands_or_fractions_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("case;value\na;1,234\nb;5,678\n", encoding="utf-8")
    assert as_numbers(table_columns(path)[0]["value"]) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [("a,a\n1,2\n", "two columns 'a'"), ("a,b\n1\n", "not a readable table"), ('a,b\n"1,2\n', "not a readable")],
)
def test_what_is_no_table_is_refused_in_a_sentence(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    with pytest.raises(EquipoiseError, match=words):
        table_columns(tmp_path / "t.csv")


@pytest.mark.long
def test_a_sheet_of_a_workbook_is_a_table(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "readings"
    for row in ([], ["", "case", "score", "n"], ["", "007", 0.25, 3.0], ["", "008", None, 4]):
        book.active.append(row)
    book.create_sheet("empty")
    book.save(tmp_path / "t.xlsx")
    columns, _ = table_columns(tmp_path / "t.xlsx")
    assert {name: values.tolist() for name, values in columns.items()} == {
        "case": ["007", "008"], "score": ["0.25", ""], "n": ["3", "4"],
    }  # fmt: skip
    book["empty"].append(["case"])
    # Before the readings, as a page of titles: the longest sheet is proposed, as a shell reads it.
    book.create_sheet("About", 0).append(["export of today"])
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(EquipoiseError, match="--columns sheet=readings, of one arm ARM.sheet=readings"):
        table_columns(tmp_path / "t.xlsx")
    assert list(table_columns(tmp_path / "t.xlsx", "readings")[0]) == ["case", "score", "n"]
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(EquipoiseError, match="not a readable Excel file .*may be damaged.*copy or export it again"):
        table_columns(tmp_path / "t.xlsx")


def test_missing_numbers_have_many_names() -> None:
    cells = np.array(["NA", "", "#N/A", "nan", ".", None, "1e-3"], dtype=object)
    numbers = as_numbers(cells)
    assert numbers is not None
    assert np.isnan(numbers[:-1]).all()
    assert numbers[-1] == 0.001
    assert as_numbers(np.array(["1_000"], dtype=object)) is None
