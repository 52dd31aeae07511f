"""Margins of secondary endpoints in an audit: results, sentences, page; intervals that end at the range."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.errors import EquipoiseError
from equipoise.trials.audit import audit


def masks_table() -> dict[str, list[Any]]:
    """Two arms of three runs on 400 patients: a is ahead in Dice and alike in IoU."""
    stream, columns = (
        np.random.default_rng(0),
        {"arm": [], "seed": [], "case": [], "patient": [], "dice": [], "iou": []},
    )
    shared = 0.7 + 0.05 * stream.standard_normal((2, 400))
    for arm, ahead in (("a", 0.05), ("b", 0.0)):
        for seed in range(3):
            dice = shared[0] + ahead + 0.01 * stream.standard_normal(400)
            iou = shared[1] + 0.01 * stream.standard_normal(400)
            names = [f"p{k}" for k in range(400)]
            for name, values in zip(columns, ([arm] * 400, [seed] * 400, names, names, dice, iou), strict=True):
                columns[name] += list(values)
    return columns


@pytest.mark.long
def test_a_margin_of_a_secondary_endpoint_is_judged_behind_the_primary(tmp_path: Path) -> None:
    table = masks_table()
    plain = audit(table, "dice", 0.02, secondary=["iou"])
    found = audit(table, "dice", 0.02, secondary=["iou"], margins="iou=0.02", out=tmp_path)
    assert found["comparisons"] == plain["comparisons"]
    before, pair = (
        next(one for one in results["secondary_comparisons"] if one["endpoint"] == "iou") for results in (plain, found)
    )
    assert "confirmed" not in before
    assert (pair["verdict"], pair["margin"], pair["confirmed"]) == ("equivalent", 0.02, ["not_inferior:a"])
    assert "confirmed in fixed sequence: a is non-inferior to b (margin 0.02" in pair["reason"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Secondary endpoints with a margin, in fixed sequence after the primary endpoint" in page
    assert "tested in this order after the primary endpoint" in page
    assert "margin of iou 0.02" in page


@pytest.mark.long
@pytest.mark.parametrize(
    ("margins", "words"), [("iou=2", "wide as its range"), ("hd95=1", "no secondary"), ("iou", "understood")]
)
def test_a_margin_that_says_nothing_is_refused(margins: str, words: str) -> None:
    with pytest.raises(EquipoiseError, match=words):
        audit(masks_table(), "dice", 0.02, secondary=["iou"], margins=margins)


@pytest.mark.long
def test_no_interval_of_a_difference_leaves_the_range() -> None:
    """One arm's scores are the wrong way round, as confirmed: areas near 0 and 1 differ by nearly the whole range."""
    stream, columns = (
        np.random.default_rng(1),
        {name: [] for name in ("arm", "seed", "case", "patient", "truth", "score_no", "score_yes")},
    )
    for arm, sign in (("a", 1), ("b", -1)):
        for k in range(60):
            yes = 1 / (1 + np.exp(-(stream.standard_normal() + sign * 3 * (k % 2 - 0.5))))
            for name, value in zip(
                columns, (arm, 0, f"c{k}", f"p{k}", ("no", "yes")[k % 2], 1 - yes, yes), strict=True
            ):
                columns[name].append(value)
    found = audit(columns, below_chance=True, margin=0.05)
    for pair in (*found["comparisons"], *found["secondary_comparisons"]):
        for low, high in ((pair["low"], pair["high"]), pair["simultaneous"], pair["decisive"]):
            assert low is None or -1 <= low <= high <= 1
    for arm in found["arms"]:
        value = arm["endpoints"]["auc"]
        assert 0 <= value["low"] <= value["estimate"] <= value["high"] <= 1
