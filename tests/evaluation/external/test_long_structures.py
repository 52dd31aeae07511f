"""Tables with a row per case and structure become one row per case."""

from typing import Any

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.trials.audit import audit

ORGANS = ("liver", "spleen")


def rows(lost: int = 0) -> dict[str, list[Any]]:
    rng = np.random.default_rng(0)
    keys = [(arm, f"c{i}", organ) for arm in "AB" for i in range(40) for organ in ORGANS]
    keys = [key for key in keys if not (key[0] == "B" and key[2] == "spleen" and int(key[1][1:]) < lost)]
    value = np.clip(rng.normal(0.8, 0.05, len(keys)), 0, 1)
    arm, case, organ = zip(*keys, strict=True)
    return {"method": list(arm), "case": list(case), "organ": list(organ), "Dice": value.tolist()}


def test_the_mean_is_over_structures_and_each_has_its_own() -> None:
    table = rows()
    arm = audit(table, cases_are_patients=True)["arms"][0]["endpoints"]
    own = np.array(table["Dice"])[:80].reshape(40, 2)
    assert arm["dice"]["estimate"] == pytest.approx(own.mean(), abs=1e-12)


def test_a_structure_that_one_arm_lacks_makes_no_mean_of_the_others() -> None:
    found = audit(rows(lost=3), cases_are_patients=True)
    assert found["comparisons"][0]["verdict"] == "refused"
    assert any("3 structures of 3 cases have no dice in B" in warning for warning in found["warnings"])
    one = audit(rows(lost=3), cases_are_patients=True, primary="dice_liver")["comparisons"][0]
    assert one["verdict"] != "refused"


def test_two_rows_of_one_structure_are_refused() -> None:
    table = rows()
    table["organ"][1] = "liver"
    with pytest.raises(PredictionError, match="two rows of case 'c0' and organ 'liver'"):
        audit(table, cases_are_patients=True)
