"""What the page, the methods paragraph and the checklists say of openings of the test set, also by other plans."""

from typing import Any

import pytest

from equipoise.report.text.audit import WHY
from equipoise.report.text.checklist_facts import _exploratory as of_checklists
from equipoise.report.text.interim_analysis import opened_in_words
from equipoise.report.text.methods_statistics import _exploratory

ONCE: dict[str, Any] = {"ledger": {"test_openings": 1, "unplanned_openings": 0}, "looks": None}
REASON = "up to 9 of its 39 test cases had been opened 2 times before by other plans"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "once"),
        ([(4, 39), (9, 39)], "once by this trial, and 2 times before by other plans (up to 9 of its 39 cases)"),
        ([(9, 0)], "once by this trial, and once before by other plans (9 of its cases)"),  # an earlier version's row
        ([(0, 39)], "once"),  # other cases of the cohort: this test set was opened once
    ],
)
def test_openings_by_other_plans_are_counted(rows: list[tuple[int, int]], words: str) -> None:
    prior = [{"test_cases_shared": shared, "test_cases": cases} for shared, cases in rows]
    assert opened_in_words(ONCE | {"prior_openings": prior}) == words


def test_looks_and_further_openings_keep_their_words_beside_those_of_other_plans() -> None:
    twice = ONCE | {"ledger": {"test_openings": 2, "unplanned_openings": 1}}
    assert opened_in_words(twice) == "twice"
    prior = [{"test_cases_shared": 3, "test_cases": 3}]
    assert opened_in_words(twice | {"prior_openings": prior}).startswith("twice by this trial, and once before by")


def test_a_pasted_paragraph_and_the_checklists_say_that_the_results_are_exploratory() -> None:
    assert _exploratory({"exploratory_reasons": [REASON]}) == (
        f"The results are exploratory and not confirmatory: {REASON}."
    )
    audited = _exploratory({"exploratory_reasons": [WHY, "its record could not be verified"]})
    assert audited.endswith("if it was not, the results are exploratory. Its record could not be verified.")
    assert of_checklists({"exploratory_reasons": [REASON]}).endswith(f"exploratory, because {REASON}")
    assert _exploratory({"exploratory_reasons": []}) == of_checklists({}) == ""
