"""Beside a verdict stands which arms are no better than guesses, and what may be wrong with their files."""

from typing import Any

import numpy as np
import pytest

from equipoise.report.text.audit import beside_chance
from equipoise.report.text.verdicts import answers
from equipoise.trials.audit import audit

NAMES = {"A": "A", "B": "B"}


def results(*areas: tuple[float, float, float]) -> dict[str, Any]:
    values = (dict(zip(("low", "estimate", "high"), area, strict=True)) for area in areas)
    return {"arms": [{"name": arm, "endpoints": {"auc": one}} for arm, one in zip("AB", values, strict=True)]}


@pytest.mark.parametrize(
    ("a", "b", "beginning"),
    [
        ((0.90, 0.95, 0.98), (0.44, 0.53, 0.63), "B (0.530) is not distinguishable from guesses"),
        ((0.60, 0.75, 0.85), (0.48, 0.62, 0.74), ""),  # few cases, and the intervals overlap
        ((0.90, 0.95, 0.98), (0.70, 0.80, 0.88), ""),
        ((0.03, 0.05, 0.08), (0.10, 0.16, 0.25), "A (0.050) and B (0.160) are below chance"),
        ((0.44, 0.53, 0.63), (0.10, 0.16, 0.25), "B (0.160) is below chance"),
    ],
)
def test_only_what_the_intervals_show_is_told(a: Any, b: Any, beginning: str) -> None:
    sentence = beside_chance(results(a, b), NAMES)
    assert sentence.startswith(beginning) if beginning else not sentence
    assert beside_chance({"arms": [{"name": "A", "endpoints": {"dice": {"low": 0.1, "high": 0.2}}}]}, NAMES) == ""


@pytest.mark.long
def test_a_column_that_was_sorted_alone_is_told_in_the_first_answer() -> None:
    draw, n = np.random.default_rng(1), 120
    truth = draw.integers(0, 2, n)
    scores = {arm: np.round(1 / (1 + np.exp(-(4 * truth - 2 + draw.normal(size=n)))), 4) for arm in "AB"}
    for how in (lambda one: one, np.sort):
        both = np.concatenate([scores["A"], how(scores["B"])])
        table = {
            "arm": np.repeat(["A", "B"], n), "case": [f"c{k}" for k in range(n)] * 2, "truth": np.tile(truth, 2),
            "score": both,
        }  # fmt: skip
        first = answers(audit(table, cases_are_patients=True), NAMES)[0].answer
        assert ("check that each row still has the scores of its own case" in first) == (how is np.sort)
