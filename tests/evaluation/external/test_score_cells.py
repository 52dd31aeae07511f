"""Percentages are read as such, by their sign or as stated; a cell that is no number is named by its row and value."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from equipoise.cohorts.layouts.tables import with_points
from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, Collected, collect
from equipoise.evaluation.external.reading import RowNumbers
from equipoise.evaluation.external.score_cells import plain_numbers
from equipoise.evaluation.external.table_file import as_numbers

PERCENTAGES = [2.8, 96.8, 40.0, 62.9, 7.5, 81.0]


def collected(folder: Path, cells: list[str], header: str = "Score", **options: str) -> Collected:
    rows = [f"c{k};{k % 2};{cell}" for k, cell in enumerate(cells)]
    (folder / "t.csv").write_text("\n".join([f"case;truth;{header}", *rows]), encoding="utf-8")
    return collect([("A", folder / "t.csv")], AuditOptions(cases_are_patients=True, **options))


@pytest.mark.parametrize("form", ["{} %", "{}%", "comma"])
def test_cells_with_the_sign_are_percentages(tmp_path: Path, form: str) -> None:
    cells = [f"{one} %".replace(".", ",") if form == "comma" else form.format(one) for one in PERCENTAGES]
    table = collected(tmp_path, cells).predictions
    expected = brier_score_loss([0, 1] * 3, np.array(PERCENTAGES) / 100)
    assert np.mean((table.scores[:, 1] - table.truth) ** 2) == pytest.approx(expected, rel=1e-12)
    assert collected(tmp_path, cells, scores="percent").predictions.scores.tolist() == table.scores.tolist()
    with pytest.raises(PredictionError, match="percentages in column 'Score', as .*, which are no logits"):
        collected(tmp_path, cells, scores="logits")


@pytest.mark.parametrize("scores", ["percent", "A=percent"])
def test_percentages_may_be_stated(tmp_path: Path, scores: str) -> None:
    read = collected(tmp_path, list(map(str, PERCENTAGES)), scores=scores)
    assert read.predictions.scores[:, 1].tolist() == pytest.approx([one / 100 for one in PERCENTAGES])
    assert any("divided by 100" in note for note in read.readings)
    with pytest.raises(PredictionError, match="called percentages, and those lie from 0.1 to 0.9"):
        collected(tmp_path, ["0.1", "0.9"], scores=scores)
    with pytest.raises(PredictionError, match="lie from -3 to 50"):
        collected(tmp_path, ["-3", "50"], scores=scores)


def test_scores_of_several_classes_may_be_percentages(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("case;truth;score_a;score_b\n1;a;70;30\n2;b;20;80\n", encoding="utf-8")
    options = AuditOptions(cases_are_patients=True, scores="percent")
    assert collect([("A", path)], options).predictions.scores.tolist() == [[0.7, 0.3], [0.2, 0.8]]


def test_the_question_offers_percent_first(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"percentages \(--scores percent, for this arm alone A=percent\)"):
        collected(tmp_path, list(map(str, PERCENTAGES)), header="Score %")
    with pytest.raises(PredictionError, match=r"logits \(--scores logits, for this arm alone A=logits\)"):
        collected(tmp_path, ["-3", "2"])


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ("2026-01-04", r"'2026-01-04' in column 'Score' of case 'c3' in row 5, which is no number"),
        ("62,9 %", r"percentages, as '62,9 %', and '2.8' of case 'c0' in row 2; write all cells in one way"),
        ("62,9", r"'2.8' of case 'c0' in row 2 and '62,9' of case 'c3' in row 5; write all with points"),
    ],
)
def test_an_odd_cell_is_named_by_row_and_value(tmp_path: Path, odd: str, words: str) -> None:
    with pytest.raises(PredictionError, match=words):
        collected(tmp_path, [odd if k == 3 else str(one) for k, one in enumerate(PERCENTAGES)])


def test_rows_keep_their_numbers_where_others_were_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("case;truth;score\n1;0;.1\n1;0;.1\n;;\n2;1;.9\n3;1;oops\n", encoding="utf-8")
    with pytest.raises(PredictionError, match="'oops' in column 'score' of case '3' in row 6"):
        collect([("A", path)], AuditOptions(cases_are_patients=True))


def test_missing_cells_do_not_hide_decimal_commas(tmp_path: Path) -> None:
    scores = collected(tmp_path, ["0,25", "n/a", "0,5", "1"]).predictions.scores[:, 1]
    assert np.array_equal(scores, [0.25, np.nan, 0.5, 1], equal_nan=True)


def test_decimal_commas_have_exponents_and_lost_zeros(tmp_path: Path) -> None:
    cells = ["6,735e-01", "2E-03", ",25", "1", "9,1e-05"]
    assert np.array_equal(collected(tmp_path, cells).predictions.scores[:, 1], [0.6735, 0.002, 0.25, 1, 9.1e-05])
    with pytest.raises(PredictionError, match=r"'0\.5' of case .* and '6,735e-01' .*; write all with points"):
        collected(tmp_path, ["6,735e-01", "0.5", "0.25"])


@pytest.mark.parametrize("mark", ["-", "–", "n. a.", "n.a.", "N/A", "k. A.", "missing", "?"])
def test_marks_of_missing_values_are_no_words(mark: str) -> None:
    """Beside decimal commas, too, which are read where all other cells are numbers."""
    cells = np.array(with_points(["24,3", mark, "50,2", "7"]), dtype=object)
    numbers = as_numbers(cells)
    assert numbers is not None
    assert np.array_equal(numbers, [24.3, np.nan, 50.2, 7], equal_nan=True)


def test_a_word_among_scores_is_refused_with_both_remedies(tmp_path: Path) -> None:
    rows = [f"c{k},{k % 2},{'lacking' if k == 3 else k / 30}" for k in range(20)]
    (tmp_path / "a.csv").write_text("\n".join(["case,truth,prob", *rows]) + "\n", encoding="utf-8")
    with pytest.raises(PredictionError, match="'lacking' .*in row 5, .*correct it, or leave its cell empty if the"):
        collect([("a", tmp_path / "a.csv")], AuditOptions(cases_are_patients=True))


def test_a_column_without_any_score_is_named(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"column 'Score' of .*t.csv is empty in all 6 rows.*--columns A.score="):
        collected(tmp_path, [""] * 6)
    columns = {"case": np.array(["a"]), "score": np.array([None], dtype=object)}
    with pytest.raises(PredictionError, match="if it holds formulas, open and save the file in Excel"):
        plain_numbers(columns, ["score"], "v.xlsx", RowNumbers(np.array([2])), AuditOptions())


def test_rows_without_a_score_are_named_by_their_number(tmp_path: Path) -> None:
    cells = ["0.1", "", "0.3", "n/a", "0.5", "0.6"]
    notes = [one for one in collected(tmp_path, cells).readings if "has no score" in one]
    assert len(notes) == 1
    assert notes[0].endswith("t.csv has no score in column 'Score' for 2 of 6 rows, the first of case 'c1' in row 3.")
    one_cell = [one for one in collected(tmp_path, ["0.1", "0.2", ""]).readings if "has no score" in one]
    assert one_cell[0].endswith("t.csv has no score in column 'Score' of case 'c2' in row 4.")
    assert not [one for one in collected(tmp_path, ["0.1"] * 6).readings if "has no score" in one]
