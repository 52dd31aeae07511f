"""Title rows above a header are refused by the header's row; tables without them are read, however odd."""

from pathlib import Path

import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.header_row import refuse_titles
from equipoise.evaluation.external.table_file import table_columns

TABLE = ["StudyID;Result;Score", "094079;positiv;0,685", "098495;negativ;0,842"]


@pytest.mark.parametrize(
    ("titles", "row"),
    [
        (["AI of the chest v2.3;;", "March 2026;;", ""], 4),
        (["AI of the chest", "", "exported 12.03.2026"], 4),
        (["AI, chest;;"], 2),
        (["", "sep=;", "Readings"][1:], 3),
    ],
)
def test_titles_are_refused_with_the_row_of_the_header(titles: list[str], row: int, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join([*titles, *TABLE]), encoding="utf-8")
    with pytest.raises(PredictionError, match=rf"seems to stand in row {row} \(StudyID, Result, Score\); delete the r"):
        table_columns(path)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(TABLE),
        ",case,score\n0,a,0.5\n1,b,0.2\n",
        "name;note\nx, y;a\nz;1,5\n",
        "case;reader;remark;score\na;;;0.5\nb;x;y;0.1\n",
        "case,label\na,b\nc,d\n",
        "a;b;c;d\nw;x;y;z\n1;2;3;4\n",
    ],
)
def test_tables_without_titles_are_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    header = text.split("\n")[0].replace(",", ";").split(";")
    assert list(table_columns(tmp_path / "t.csv")[0]) == header


def test_a_sheet_has_titles_too() -> None:
    rows = [(1, ["Vendor 2", ""]), (2, ["exported", ""]), (3, ["patient", "probability"]), (5, ["007", "0.5"])]
    with pytest.raises(PredictionError, match=r"row 3 \(patient, probability\)"):
        refuse_titles(rows, "v2.xlsx")
    refuse_titles(rows[2:], "v2.xlsx")
