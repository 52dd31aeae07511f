"""Tables of spreadsheets in several countries give what a person reads in them; what is not certain stays text."""

from pathlib import Path

import pytest

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.tables import number_or_text, read_table

ROWS = [{"case": "a", "age": "3.5", "site": "Köln"}, {"case": "b", "age": "4", "site": "Ulm"}]


def table(tmp_path: Path, raw: bytes) -> list[dict[str, str]]:
    (tmp_path / "t.csv").write_bytes(raw)
    return read_table(tmp_path / "t.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_separators_encodings_and_line_ends(tmp_path: Path, separator: str, encoding: str, line_end: str) -> None:
    lines = [["case", "age", "site"], ["a", "3.5", "Köln"], ["b", "4", "Ulm"]]
    text = line_end.join(separator.join(line) for line in lines) + line_end
    assert table(tmp_path, text.encode(encoding)) == ROWS


def test_decimal_commas_become_points_where_they_are_certain(tmp_path: Path) -> None:
    assert table(tmp_path, "case;age;site\na;3,5;Köln\nb;4;Ulm\n".encode("cp1252")) == ROWS
    assert table(tmp_path, 'case,age,site\na,"3,5",Köln\nb,4,Ulm\n'.encode()) == ROWS
    assert [row["n"] for row in table(tmp_path, b"case;n\na;1,234\nb;5,678\n")] == ["1,234", "5,678"], "or thousands"
    assert [row["n"] for row in table(tmp_path, b"case;n\na;0,234\nb;5,678\n")] == ["0.234", "5.678"]
    assert [row["n"] for row in table(tmp_path, b"case;n\na;1,5\nb;left, upper\n")] == ["1,5", "left, upper"]
    assert [row["n"] for row in table(tmp_path, b"case;n\na;1,5e-03\nb;2e+01\nc;,5\n")] == ["1.5e-03", "2e+01", ".5"]


def test_a_separator_that_the_file_states_and_one_that_its_values_hold(tmp_path: Path) -> None:
    assert table(tmp_path, b"sep=;\ncase;note\na;x, y\n") == [{"case": "a", "note": "x, y"}]
    assert table(tmp_path, b"case;note, long\na;x\nb;y, z\n") == [
        {"case": "a", "note, long": "x"},
        {"case": "b", "note, long": "y, z"},
    ]
    assert table(tmp_path, b'case,note\na,"x; y"\n') == [{"case": "a", "note": "x; y"}]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"case;image\n", "no rows"),
        (b"case;case\na;b\n", "two columns of one name"),
        (b"case;image\na\n", "row 2 has 1 values for 2 columns"),
        (b"case,image\n\n\na\n", "row 4 has 1 values for 2 columns"),
        (b"case,image\n\x81\xff,b\n", "not text in UTF-8, UTF-16 or Windows-1252"),
        (b'case,image\n"a,b\n', "not a CSV file"),
    ],
)
def test_what_is_broken_is_named(tmp_path: Path, raw: bytes, reason: str) -> None:
    with pytest.raises(RefusedFile, match=reason):
        table(tmp_path, raw)


def test_numbers() -> None:
    assert [number_or_text(text) for text in ("1e3", "3.5", "3,5", "")] == [1000.0, 3.5, "3,5", ""]
