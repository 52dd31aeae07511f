"""Test cases that an audit left out, each with its own reason: who lacks a case may be the one that wins for it."""

from collections.abc import Mapping
from typing import Any

from equipoise.evaluation.external.agreement import (
    NO_ROW,
    NO_SCORE,
    NO_TRUTH,
    NO_VALUE,
    OTHER_PATIENT,
    OTHER_TRUTH,
    UNDEFINED,
    UNPREDICTED,
)
from equipoise.report.text.words import listed

_WORDS = {
    OTHER_TRUTH: "arms state different truths for",
    OTHER_PATIENT: "arms name different patients for",
    NO_TRUTH: "the reference has no truth for",
    NO_ROW: "an arm has no row of",
    NO_SCORE: "an arm has no score for",
    NO_VALUE: "an arm has no number for",
    UNDEFINED: "no arm has a number for",
    UNPREDICTED: "no arm predicted",
}


def why_left_out(omission: Mapping[str, Any]) -> str:
    """Return the clause on the reasons, which begins with "because".

    >>> why_left_out({"cases": 4, "of": 60, "reasons": {"other_patient": 3, "no_score": 1}})
    'because arms name different patients for 3 and an arm has no score for 1 of them'
    >>> why_left_out({"cases": 4, "of": 60, "reasons": {"no_row": 4}})
    'because an arm has no row of them'
    """
    reasons = omission["reasons"]
    if len(reasons) == 1:
        return f"because {_WORDS[next(iter(reasons))]} {'them' if omission['cases'] > 1 else 'it'}"
    return f"because {listed([f'{_WORDS[code]} {count}' for code, count in reasons.items()])} of them"


def omission_in_words(omission: Mapping[str, Any]) -> str:
    """Return how many test cases were left out of how many, and why, as a sentence without its stop.

    >>> omission_in_words({"cases": 1, "of": 60, "reasons": {"no_score": 1}})
    '1 of 60 test cases was left out, because an arm has no score for it'
    """
    verb = "were" if omission["cases"] > 1 else "was"
    return f"{omission['cases']} of {omission['of']} test cases {verb} left out, {why_left_out(omission)}"
