import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from equipoise.report.text.characteristics import characteristics, in_words
from equipoise.runfolder.read import read_folder

Make = Callable[..., Path]


def _with(folder: Path, **columns: list[str]) -> Path:
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, values in columns.items():
        for row, value in zip(rows, values * len(rows), strict=False):
            row[name] = value
    with (folder / "cases.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_classes_are_counted_and_numbers_summarised_by_part(make_folder: Make) -> None:
    run = read_folder(make_folder(patients=120))
    rows = {row.name: row.cells for row in characteristics(run)}
    assert list(rows)[:2] == ["class: benign", "class: malignant"]
    train = set(run.lock["split"]["folds"][0]["train"])
    sizes = [float(row["diameter_mm"]) for row in run.cases if row["case"] in train]
    low, middle, high = np.quantile(sizes, [0.25, 0.5, 0.75])
    assert rows["diameter (mm), median (quartiles)"][0] == f"{middle:.3g} ({low:.3g} to {high:.3g})"
    benign = sum(row["label"] == "benign" for row in run.cases if row["case"] in train)
    assert rows["class: benign"][0] == f"{benign} ({100 * benign / len(train):.0f} %)"


def test_words_are_counted_unknown_ones_too_and_names_are_left_out(make_folder: Make) -> None:
    folder = _with(make_folder(patients=60), sex=["f", "m", ""], study=[f"study {k}" for k in range(500)], empty=[""])
    names = [row.name for row in characteristics(read_folder(folder))]
    assert [name for name in names if name.startswith("sex")] == ["sex: f", "sex: m", "sex: not stated"]
    assert not [name for name in names if name.startswith(("study", "empty"))]


def test_missing_numbers_are_said(make_folder: Make) -> None:
    ages = ["", *(str(40 + k % 30) for k in range(99))]
    rows = characteristics(read_folder(_with(make_folder(patients=60), age=ages)))
    told = next(row for row in rows if row.name.startswith("age"))
    assert any("not stated" in cell for cell in told.cells)


def test_without_cases_or_split_there_is_no_table(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    (folder / "cases.csv").unlink()
    assert characteristics(read_folder(folder)) == []
    assert in_words([]) == ""
