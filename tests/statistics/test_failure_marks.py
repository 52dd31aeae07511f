"""A number that marks a failure is no measurement: it is refused until somebody says what a failed case counts as."""

from typing import Any

import numpy as np
import pytest

from equipoise import audit
from equipoise.errors import PredictionError
from equipoise.evaluation.external.tables import from_table
from equipoise.statistics.endpoints import of_case
from equipoise.statistics.failure_marks import perfect_marks, refuse_marks

HD95 = np.random.default_rng(0).gamma(2, 3, 240)


def distances(*worst: float, scale: float = 1.0) -> dict[str, Any]:
    """HD95 of two arms in 120 cases, the first values replaced."""
    values = scale * HD95
    values[: len(worst)] = worst
    cases = [f"c{k}" for k in range(120)] * 2
    return {"arm": ["a"] * 120 + ["b"] * 120, "case": cases, "patient": cases, "hd95": values.tolist()}


def notes(columns: dict[str, Any], **failed: float) -> list[str]:
    return refuse_marks(from_table(columns), {"hd95": of_case("hd95")}, failed)


@pytest.mark.parametrize("worst", [999.0, 9999.0, 999999.0, 1000.0, 1e6, 7321.5])
@pytest.mark.parametrize("times", [1, 17])
def test_marks_are_refused(worst: float, times: int) -> None:
    table = distances(*[worst] * times)
    with pytest.raises(
        PredictionError, match=rf"hd95 is {worst:.12g} in {times} rows?, and at most .*--failure-value hd95=60"
    ):
        notes(table)
    assert notes(table, hd95=worst) == []
    aside = table | {"split": ["validation"] * times + ["test"] * (240 - times)}
    assert notes(aside) == []


def test_a_penalty_that_cases_share_is_told() -> None:
    (note,) = notes(distances(373.13, 373.13))
    assert "hd95 is 373.13 in 2 rows" in note
    assert "--failure-value hd95=373.13 states it" in note
    assert notes(distances(373.13)) == []


def test_measurements_are_left_alone() -> None:
    assert notes(distances()) == []
    assert notes(distances(999.0, 999.0, scale=30.0)) == [], "others are as long"
    dice = {**distances(), "dice": [0.0] * 20 + [0.9] * 220}
    assert refuse_marks(from_table(dice), {"dice": of_case("dice")}, {}) == []


def test_an_audit_with_a_mark_is_refused_until_it_is_stated() -> None:
    with pytest.raises(PredictionError, match="it marks a failure and is no measurement"):
        audit(distances(*[999999.0] * 17), primary="hd95")
    results = audit(distances(*[999999.0] * 17), primary="hd95", failure_values={"hd95": 999999})
    assert "A failed case of hd95 counts as 999999, as the caller stated." in results["warnings"]


def test_the_best_value_in_many_cases_of_one_arm_alone_is_told() -> None:
    known, table = {"hd95": of_case("hd95")}, distances(*[0.0] * 14)
    (note,) = perfect_marks(from_table(table), known, {"hd95": 20.0})
    assert "hd95 is 0, the best possible value, in 14 cases of a and in at most 0 of any other arm" in note
    assert "although failed cases were stated to be 20" in note
    assert perfect_marks(from_table(distances(*[0.0] * 4)), known, {}) == [], "few cases"
    both = table | {"hd95": [*[0.0] * 14, *HD95[14:120], *[0.0] * 14, *HD95[134:]]}
    assert perfect_marks(from_table(both), known, {}) == [], "both arms have them, as of empty masks"
    worst = table | {"hd95": (-np.array(table["hd95"])).tolist()}
    assert perfect_marks(from_table(worst), {"hd95": of_case("psnr")}, {}) == [], "the better direction is up"


def test_an_audit_tells_of_zeros_beside_a_stated_failure_value() -> None:
    results = audit(distances(*[0.0] * 14), primary="hd95", failure_values={"hd95": 60})
    assert any("the best possible value, in 14 cases of a" in warning for warning in results["warnings"])
