"""The table of single cases, and the CSV of all of them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from equipoise.trials.audit import audit


def columns(cases: int) -> dict[str, list[object]]:
    rng = np.random.default_rng(1)
    names = [f"c{i}" for i in range(cases)]
    return {
        "arm": ["a"] * cases + ["b"] * cases, "case": names * 2, "dice_core": rng.random(2 * cases).tolist(),
        "hd95_core": (9 * rng.random(2 * cases)).tolist(), "truth_voxels_core": [float(i) for i in range(cases)] * 2,
    }  # fmt: skip


@pytest.mark.long
def test_few_cases_stand_on_the_page_and_all_in_the_file(tmp_path: Path) -> None:
    table = columns(2)
    audit(table, out=tmp_path, cases_are_patients=True, ids="plain")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for index in range(4):
        assert f'<td data-label="Dice">{table["dice_core"][index]:.3f}</td>' in page
        # no file states a spacing, so no unit is claimed
        assert f'<td data-label="HD95">{table["hd95_core"][index]:.1f}</td>' in page
    with (tmp_path / "cases.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["dice_core"]) for row in rows] == table["dice_core"]
    assert [row["case"] for row in rows] == table["case"]


@pytest.mark.long
def test_many_cases_stand_in_the_file_alone(tmp_path: Path) -> None:
    audit(columns(40), out=tmp_path, cases_are_patients=True)
    assert "Case by case" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len((tmp_path / "cases.csv").read_text(encoding="utf-8").splitlines()) == 81
