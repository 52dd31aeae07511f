"""The terminal says what speaks against a verdict before it says the verdict."""

from report.random_results import random_run

from equipoise.report.summary import results_of
from equipoise.report.text.terminal import sentences_of


def test_cautions_come_before_answers():
    results = results_of(random_run(3)) | {"exploratory_reasons": [], "reuse": None, "perfect": []}
    answers = sentences_of(results)
    assert sum(map(len, answers)) > 100
    cautious = results | {"exploratory_reasons": ["one", "two"], "reuse": "as planned", "perfect": ["look"]}
    assert sentences_of(cautious)[:3] == [
        "Exploratory: one; two.",
        "Reuse of test cases, as the protocol states: as planned",
        "look",
    ]
    assert sentences_of(cautious)[3:] == answers
