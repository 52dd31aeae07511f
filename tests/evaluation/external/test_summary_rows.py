"""Rows of means and sums are no patients, in any table; initials are names."""

from pathlib import Path

import pytest

from equipoise import audit
from equipoise.errors import PredictionError
from equipoise.evaluation.external.summary_rows import heads_summary, summaries


@pytest.mark.parametrize(
    "word",
    ["Mean", "MITTELWERT", "Mittelwert:", "Total", "Average", "Moyenne", "Mean ± SD", "Standard deviation"],
)
def test_words_of_summaries(word: str) -> None:
    assert heads_summary(word)


def test_short_words_are_names_among_names() -> None:
    assert summaries(["AB", "SD", "Max", "MK"]) == []
    assert summaries(["AB", "MK", "Mean", "SD"]) == [2, 3]
    assert summaries(["P1", "P2", "SD"]) == [2]


def written(path: Path, heading: str, last: str) -> Path:
    rows = [f"CT{k:02d};0,{50 + k};0,{60 + k}" for k in range(12)]
    path.write_text("\n".join([f"{heading};Dice liver;Dice spleen", *rows, last]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("heading", ["Patient", "case"])
def test_a_row_of_means_is_refused_by_its_number(tmp_path: Path, heading: str) -> None:
    path = written(tmp_path / "t.csv", heading, "Mittelwert;0,555;0,655\nSD;0,03;0,03")
    options = {} if heading == "Patient" else {"cases_are_patients": True}
    with pytest.raises(PredictionError, match=r"'Mittelwert', 'SD' as the (case|patient) in rows 14, 15"):
        audit({"A": path, "B": path}, regions="liver,spleen", **options)  # type: ignore[arg-type]
    written(path, heading, "")
    assert audit({"A": path, "B": path}, regions="liver,spleen", **options)["arms"]  # type: ignore[arg-type]


def test_a_row_of_a_reference_is_refused_too(tmp_path: Path) -> None:
    scores, reference = tmp_path / "a.csv", tmp_path / "r.csv"
    scores.write_text("case;score\n" + "".join(f"c{k};0.{k + 1}\n" for k in range(8)), encoding="utf-8")
    reference.write_text("case;truth\n" + "".join(f"c{k};{k % 2}\n" for k in range(8)) + "Total;1\n", encoding="utf-8")
    with pytest.raises(PredictionError, match=r"r\.csv has 'Total' as the case in row 10"):
        audit({"A": scores, "B": scores}, truth=reference, cases_are_patients=True)


def test_a_mean_among_the_structures_of_a_long_table_is_refused(tmp_path: Path) -> None:
    rows = [f"c{k};{organ};0.{k + 1}" for k in range(8) for organ in ("liver", "spleen", "Mean")]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["case;organ;dice", *rows]) + "\n", encoding="utf-8")
    with pytest.raises(PredictionError, match=r"rows whose organ is 'Mean'"):
        audit({"A": path, "B": path}, cases_are_patients=True)
