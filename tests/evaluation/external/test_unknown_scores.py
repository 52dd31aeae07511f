"""A table whose column of scores has a name of its own, beside a truth: the answer to the question leads on."""

import re
import shlex
from pathlib import Path

import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, collect, parse_columns
from equipoise.evaluation.external.lists import REFERENCE, read_list

CASES = [f"{k:03d}" for k in range(24)]


def vendor(path: Path, heading: str, name: str) -> Path:
    rows = [f"{case};{int(case) // 2:03d};{(7 * int(case) % 24) / 25:.2f};{int(case) % 5}" for case in CASES]
    path.write_text("\n".join([f"{heading};Nummer;{name};Zeit", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Path]:
    rows = [f"{case};{('no', 'yes')[int(case) % 2]}" for case in CASES]
    (tmp_path / "truth.csv").write_text("\n".join(["case;truth", *rows]) + "\n", encoding="utf-8")
    return {
        "truth": tmp_path / "truth.csv",
        "A": vendor(tmp_path / "A.csv", "Befund", "Wert (%)"),
        "B": vendor(tmp_path / "B.csv", "case", "KI-Wert"),
    }


def tried(given: dict[str, Path], columns: str, **options: object) -> str:
    """The sentence of the refusal, "" where the files are read."""
    by_role = parse_columns(columns)
    try:
        lists = (read_list(given["truth"], "case", "truth", REFERENCE, by_role),)
        collect(
            [(arm, given[arm]) for arm in "AB"],
            AuditOptions(truth=given["truth"], cases_are_patients=True, columns=by_role, **options),  # type: ignore[arg-type]
        )
    except PredictionError as error:
        assert lists
        return str(error)
    return ""


def test_each_answer_that_is_typed_word_by_word_leads_to_the_next_until_the_files_are_read(
    given: dict[str, Path],
) -> None:
    columns = ""
    for proposal in ("A.case=Befund,A.score='Wert (%)'", "B.score=KI-Wert"):
        refusal = tried(given, columns)
        assert "does nothing" not in refusal
        assert f"(--columns {proposal})" in refusal
        option, value = shlex.split(
            re.findall(r"\((--columns .*)\), or, if the columns are metrics, leave --truth out$", refusal)[0]
        )
        columns = f"{columns},{value}".strip(",")
    assert (option, tried(given, columns)) == ("--columns", "")


@pytest.mark.parametrize("options", [{"positive": "yes"}, {"scores": "percent"}])
def test_a_statement_about_scores_asks_for_the_column_too(given: dict[str, Path], options: dict[str, str]) -> None:
    with pytest.raises(PredictionError, match=r"known as the case and the score .*A.score='Wert \(%\)'.*leave --"):
        collect([("A", given["A"])], AuditOptions(cases_are_patients=True, **options))  # type: ignore[arg-type]


def test_a_truth_beside_values_of_a_metric_has_its_own_reason(given: dict[str, Path], tmp_path: Path) -> None:
    table = vendor(tmp_path / "C.csv", "case", "dice")
    options = AuditOptions(truth=given["truth"], cases_are_patients=True)
    with pytest.raises(PredictionError, match="--truth does nothing .*values of metrics, .* need none; leave it out"):
        collect([("C", table)], options)
    table = tmp_path / "D.csv"
    table.write_text("\n".join(["case,truth,prob", *(f"{case},{int(case) % 2},0.3" for case in CASES)]) + "\n")
    with pytest.raises(PredictionError, match=r"--truth does nothing .*they hold the truth already \(column 'truth'\)"):
        collect([("D", table)], options)
