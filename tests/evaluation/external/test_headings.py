"""Units and codings in brackets behind a heading are no part of its name; other words in brackets are."""

import pytest

from equipoise.evaluation.external import AuditOptions, collect_table
from equipoise.evaluation.external.headings import bare_heading


@pytest.mark.parametrize(
    "heading",
    ["score (%)", "Score [0-1]", "score (0–100 %)", "score(percent)", "score (0 to 1)", "Score (1/0)", "score [0..1]"],
)
def test_units_and_codings_are_taken_away(heading: str) -> None:
    assert bare_heading(heading) == "score"


@pytest.mark.parametrize(
    "heading", ["score (1)", "score (benign)", "score (negative)", "score (p=0)", "score (yes=0/no=1)", "score (% x)"]
)
def test_words_that_say_more_are_kept(heading: str) -> None:
    assert bare_heading(heading) != "score"


def test_a_table_of_such_headings_is_a_classifiers() -> None:
    columns = {"Patient No.": ["a", "b"], "AI score [%]": [26.4, 80.0], "Finding (0/1)": [0, 1]}
    read = collect_table(columns | {"arm": ["A", "A"]}, AuditOptions(scores="percent"))
    assert read.predictions.classes == ("0", "1")
    assert read.predictions.scores[:, 1].tolist() == pytest.approx([0.264, 0.8])
    assert read.predictions.metrics == {}
