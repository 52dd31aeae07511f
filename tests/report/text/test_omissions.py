"""Every reason for which an audit leaves a case out has its own words, and says nothing of the others."""

import pytest

from equipoise.evaluation.external.agreement import REASONS
from equipoise.report.text.omissions import omission_in_words, why_left_out


@pytest.mark.parametrize("code", REASONS)
def test_one_reason_is_told_alone(code: str) -> None:
    sentence = omission_in_words({"cases": 3, "of": 10, "reasons": {code: 3}})
    assert sentence.startswith("3 of 10 test cases were left out, because ")
    assert sentence.endswith(" them")
    of_truth = code in ("other_truth", "no_truth")
    assert ("truth" in sentence, "patient" in sentence) == (of_truth, code == "other_patient")


def test_several_reasons_are_counted() -> None:
    clause = why_left_out({"cases": 6, "of": 9, "reasons": dict.fromkeys(REASONS, 1)})
    assert clause.count(" 1") == len(REASONS)
