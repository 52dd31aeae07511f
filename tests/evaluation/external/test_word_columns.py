"""Columns of words are left aside, and several rows of one case are asked about with what can be typed."""

import re
from pathlib import Path
from shlex import split
from statistics import mean

import numpy as np
import pytest

from equipoise import audit
from equipoise.errors import PredictionError
from equipoise.evaluation.external.reading import Columns
from equipoise.evaluation.external.word_columns import without_words

GRADES = [(f"CT{k:02d}", reader, 1 + (k + r) % 5, 1 + (k * r) % 5) for k in range(9) for r, reader in enumerate("XYZ")]


def table(**columns: list[object]) -> Columns:
    return {name: np.array(values, dtype=object) for name, values in columns.items()}


def test_words_without_a_role_are_left_aside_unless_rows_differ_by_them() -> None:
    columns, notes = without_words(table(case=["a", "b"], dice=[1, 1], site=["x", "y"]), "t", ())
    assert "site" not in columns
    assert any("site" in note and "not used" in note for note in notes)
    assert "site" in without_words(table(case=["a"], site=["x"]), "t", ["site"])[0]
    assert "dice" in without_words(table(case=["a", "b"], dice=["1", "x"]), "t", ())[0]
    with pytest.raises(PredictionError, match="--columns arm=vendor"):
        without_words(table(case=["a", "a"], dice=[1, 1], vendor=["x", "y"]), "t", ())


@pytest.mark.parametrize("stated", [True, False])
def test_no_arm_is_offered_where_the_arms_are_known(stated: bool) -> None:
    more: dict[str, list[object]] = {} if stated else {"arm": ["u", "u"]}
    columns = table(case=["a", "a"], dice=[1, 1], reader=["x", "y"], **more)
    with pytest.raises(PredictionError, match=r"average them, so that the table has one row of each case") as caught:
        without_words(columns, "t", (), arm_stated=stated)
    assert "arm=" not in str(caught.value)


def grades(path: Path) -> Path:
    rows = [f"{case};{reader};{a};{b}" for case, reader, a, b in GRADES]
    path.write_text("\n".join(["Fall;Befunder;Note A;Note B", *rows]) + "\n", encoding="utf-8")
    return path


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(PredictionError) as caught:
        audit([str(path)], "Note", cases_are_patients=True, lower_is_better=["Note"], **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_readers_of_a_table_with_a_column_per_arm_lead_to_their_mean(tmp_path: Path) -> None:
    """Each proposal is typed as it stands, until the averaged table is judged: the mean of each column."""
    path = grades(tmp_path / "grades.csv")
    message = refusal(path, columns="case=Fall")
    options = split(re.findall(r"\((--columns [^()]*--metric NAME)\)", message)[0])
    wide = options[1]
    assert wide == "arms=Note A+Note B"
    message = refusal(path, columns=wide, metric="Note")
    assert "--columns case=Fall" in message
    message = refusal(path, columns=f"{wide},case=Fall", metric="Note")
    assert "average them" in message
    assert "arm=" not in message
    averaged = {case: [mean(int(row[k]) for row in GRADES if row[0] == case) for k in (2, 3)] for case, *_ in GRADES}
    rows = [f"{case};{a!r};{b!r}" for case, (a, b) in averaged.items()]
    path.write_text("\n".join(["Fall;Note A;Note B", *rows]) + "\n", encoding="utf-8")
    results = audit(
        [str(path)], "Note", cases_are_patients=True, lower_is_better=["Note"], columns=f"{wide},case=Fall",
        metric="Note",
    )  # fmt: skip
    values = {one["name"]: one["endpoints"]["Note"]["estimate"] for one in results["arms"]}
    assert values["Note A"] == pytest.approx(mean(row[2] for row in GRADES))
    assert values["Note B"] == pytest.approx(mean(row[3] for row in GRADES))


def test_a_refusal_lists_the_headings_of_the_file(tmp_path: Path) -> None:
    message = refusal(grades(tmp_path / "grades.csv"), columns="arm=Befunder")
    assert "(it has Fall, Befunder, Note A, Note B)" in message
