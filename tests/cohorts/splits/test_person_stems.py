"""Names that end like images of one person in the whole column are told from ids of hospitals, years and data sets."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts.splits.person_stems import LETTERS, NUMBERS, WORDS, regular_stems, some_sides

IMAGES = {
    "sides and views": ([f"P{p:03d}_{one}" for p in range(40) for one in ("L-CC", "R-CC", "L-MLO", "R-MLO")], WORDS),
    "sides, some missing": ([f"{p:04d}L" for p in range(40)] + [f"{p:04d}R" for p in range(5, 35)], WORDS),
    "words": ([f"study-{p}-{side}" for p in range(12) for side in ("left", "right")], WORDS),
    "slices, any number": ([f"p{p:02d}_slice_{k:03d}" for p in range(12) for k in range(3 + p)], WORDS),
    "visits": ([f"sub-{p:02d}_ses-{k}" for p in range(12) for k in (1, 2)], WORDS),
    "letters": ([f"P{p:03d}{one}" for p in range(20) for one in "abcd"], LETTERS),
    "letters apart": ([f"{p:03d}_{one}" for p in range(20) for one in "AB"], LETTERS),
    "numbers": ([f"P{p:03d}-{k}" for p in range(40) for k in (1, 2, 3, 4)], NUMBERS),
    "times": ([f"BraTS-GLI-{p:05d}_t{k}" for p in range(40) for k in (0, 1)], NUMBERS),
    "hospital, patient, side": ([f"S{p % 4}-P{p:03d}-{one}" for p in range(40) for one in "LR"], WORDS),
}
STREAM = np.random.default_rng(0)
PER_HOSPITAL = STREAM.poisson(9, size=24) + 1
PATIENTS = {
    "LIDC": [f"LIDC-IDRI-{k:04d}" for k in range(200)],
    "BraTS": [f"BraTS2021_{k:05d}" for k in range(200)],
    "BraTS, a time": [f"BraTS-GLI-{k:05d}-000" for k in range(200)] + [f"BraTS-GLI-{k:05d}-001" for k in range(40)],
    "hippocampus": [f"hippocampus_{k:03d}" for k in range(200)],
    "a letter and a number": [f"{site}-{k}" for site in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for k in range(1, 9)],
    "hospitals that number alike": [f"S{s}-P{k:03d}" for s in range(12) for k in range(30)],
    "hospitals, three digits": [f"{s}-{k:03d}" for s in range(1, 25) for k in range(1, 7)],
    "hospitals of unequal size": [f"S{s:02d}-{k}" for s, n in enumerate(PER_HOSPITAL) for k in range(1, n + 1)],
    "few large hospitals": [f"H{s:02d}_{k}" for s in range(12) for k in range(1, 13)],
    "hospitals, PA for a patient": [f"H{s:02d}-PA{k:03d}" for s in range(12) for k in range(9)],
    "running numbers": [str(k) for k in range(300)],
    "years": [f"{year}-{k:02d}" for year in range(2009, 2024) for k in range(1, 13)],
    "days": [
        f"2021{m:02d}{d:02d}-{k}" for m in range(1, 6) for d in range(1, 28) for k in range(STREAM.integers(1, 6))
    ],
    "check letters": [f"{k:07d}{'abcdefgh'[k % 8]}" for k in range(200)],
    "hashes": ["".join(STREAM.choice(list("0123456789abcdef"), 8)) for _ in range(300)],
    "short hashes": [f"{k:02x}" for k in range(256)],
    "pairs of a study": [f"pair{k:03d}_{one}" for k in range(60) for one in ("case", "control")],
    "TCGA": [f"TCGA-{STREAM.integers(1, 30):02d}-{k:04d}" for k in range(200)],
    "ADNI": [f"{STREAM.integers(1, 60):03d}_S_{k:04d}" for k in range(200)],
    "IXI": [f"IXI{k:03d}-{('Guys', 'HH', 'IOP')[k % 3]}-{k + 800:04d}" for k in range(200)],
    "too few": [f"P{p}_{side}" for p in range(9) for side in "LR"],
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_one_person_are_recognised(name: str) -> None:
    names, kind = IMAGES[name]
    for order in (names, names[::-1]):
        stems = regular_stems(order)
        assert stems is not None
        assert stems.kind == kind
    pattern = stems.pattern()
    persons = {one: stems.of[one] for one in names}
    if pattern is not None:
        for suffix in ("", ".png"):
            groups = {one: re.search(pattern, f"images/{one}{suffix}")[1] for one in names}
            assert len({(groups[one], persons[one]) for one in names}) == len(set(persons.values()))


def test_usual_names_have_a_short_pattern() -> None:
    without = {name for name, (names, _) in IMAGES.items() if regular_stems(names).pattern() is None}
    assert without == set()
    assert regular_stems(IMAGES["numbers"][0]).pattern() == "([^/-]+)-[^/]*$"


@pytest.mark.parametrize("name", PATIENTS)
def test_honest_ids_are_left_alone(name: str) -> None:
    assert regular_stems(PATIENTS[name]) is None


@pytest.mark.parametrize("name", PATIENTS)
def test_honest_ids_have_no_sides(name: str) -> None:
    assert (some_sides(PATIENTS[name]) == "") == (name != "too few")


def test_sides_of_some_patients_are_counted() -> None:
    alone = [f"S3-P{k:03d}" for k in range(40)]
    views = [f"P{k}{one}" for k in range(5) for one in ("_L-CC", "_R-MLO")]
    assert some_sides(alone + [f"{one}_{side}" for one in alone[:2] for side in "LR"]) == ""
    assert some_sides([*alone, *(f"{one}_L" for one in alone)]) == ""
    assert some_sides(alone + views).startswith("5 pairs of names differ only in _L-CC and _R-MLO,")
    mixed = [*alone, *views, "Q1 left", "Q1 right", "Q1 ou"]
    assert some_sides(mixed).startswith("6 groups of names differ only in ends such as _L-CC and _R-MLO,")


def columns_of(folder: Path) -> Iterator[tuple[str, list[str]]]:
    for path in sorted(folder.rglob("*.csv")):
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        for place, name in enumerate(header):
            yield f"{path.name} {name}", [row[place] for row in rows if len(row) > place and row[place]]
    for child in sorted({path.parent for path in folder.rglob("*")}):
        yield child.name, [path.name.split(".")[0] for path in child.iterdir()]


@pytest.mark.long
def test_no_column_of_the_real_cohorts_is_taken_for_images(shared_data: Path) -> None:
    columns = [(name, values) for name, values in columns_of(shared_data) if len(set(values)) > 15]
    assert [name for name, values in columns if regular_stems(values) or some_sides(values)] == []
