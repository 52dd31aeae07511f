"""Names that end like images of one person in the whole column are told from ids of hospitals, years and data sets."""

import csv
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts.splits.person_stems import (
    DATES,
    LETTERS,
    NUMBERS,
    PARTS,
    WORDS,
    deepest_stems,
    regular_stems,
    some_sides,
)

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
    "dates": ([f"P{p:03d}_2021-0{k + 1}-1{p % 9}" for p in range(40) for k in range(3)], DATES),
    "dates of eight digits": ([f"{4000 + p}_2021{k + 1:02d}1{p % 9}" for p in range(40) for k in range(3)], DATES),
    "dates of Europe": ([f"P{p:03d} {p % 9 + 10}.0{k + 1}.2021" for p in range(40) for k in range(3)], DATES),
    "dates of America": ([f"{p:04d}_{k + 1}/{p % 9 + 10}/2021" for p in range(40) for k in range(3)], DATES),
    "months": ([f"P{p:03d}-{10 + k}-Mar-2021" for p in range(40) for k in range(3)], DATES),
    "times of a day": ([f"P{p:03d}_20210314T10{k}500" for p in range(40) for k in range(3)], DATES),
    "dates and sides": ([f"P{p:03d}_2021-0{k + 1}-12_L" for p in range(40) for k in range(3)], DATES),
    "CheXpert": (
        [f"patient{64541 + p}/study{k + 1}/view{v}_frontal.jpg" for p in range(40) for k in (0, 1) for v in (1, 2)],
        WORDS,
    ),
    "brackets": ([f"P{p:03d} ({k})" for p in range(40) for k in (1, 2, 3)], NUMBERS),
    "a copy in brackets": ([f"P{p:03d}{end}.png" for p in range(40) for end in ("", " (1)", " - Copy")], WORDS),
    "a side and a letter": (
        [f"P{p:03d} {one} {k}" for p in range(40) for one in ("left", "right") for k in "ab"],
        LETTERS,
    ),
    "an eye": ([f"P{p:03d} {one} eye" for p in range(40) for one in ("left", "right")], WORDS),
    "folders": ([f"{p:03d}/{k}" for p in range(40) for k in range(3)], NUMBERS),
    "folders of Windows": ([f"{p:03d}\\{k}.png" for p in range(40) for k in range(3)], NUMBERS),
    "frames of a video": ([f"vid{p:03d}_frame_{k * 25:05d}.png" for p in range(40) for k in range(8)], WORDS),
    "study and image": (
        [f"patient{p:03d}_study{k}_image{v}.png" for p in range(40) for k in (1, 2) for v in (1, 2)],
        WORDS,
    ),
    "numbers of study and series": (
        [f"{p:03d}/{k}/{v}.dcm" for p in range(40) for k in (1, 2) for v in (1, 2)],
        NUMBERS,
    ),
    "a series that all have": ([f"{p:03d}_{k}_0000.nii.gz" for p in range(40) for k in (1, 2)], NUMBERS),
    "view, side, person": ([f"{v}_{one}_{p:03d}" for p in range(40) for v in ("CC", "MLO") for one in "LR"], WORDS),
    "sides before": ([f"left_{p}.jpg" for p in range(40)] + [f"right_{p}.jpg" for p in range(40)], WORDS),
    "CBIS-DDSM": (
        [f"Mass-Training_P_{p:05d}_{one}_{v}" for p in range(40) for one in ("LEFT", "RIGHT") for v in ("CC", "MLO")],
        WORDS,
    ),
    "tiles of slides": ([f"slide{p:02d}_tile_{x}_{x + 1}.png" for p in range(40) for x in range(5)], WORDS),
    "places of tiles": ([f"S{p:02d}_x{512 * x}_y{256}" for p in range(40) for x in range(5)], WORDS),
    "slides of TCGA": ([f"TCGA-02-{p:04d}-01{k}-0{v}-DX{v}" for p in range(40) for k in "AZ" for v in (1, 2)], PARTS),
    "BIDS": ([f"sub-CC{p:04d}_{one}" for p in range(40) for one in ("task-rest_bold", "T1w", "acq-x_T2w")], PARTS),
    "subjects": ([f"subject_{p:03d}_{one}" for p in range(40) for one in ("supine", "prone")], PARTS),
    "augmented": ([f"{p:04d}_aug_{k}.png" for p in range(40) for k in range(3)], WORDS),
    "instances of a series": (
        [f"1.2.840.113619.2.55.3.28{p:04d}.{k}" for p in range(40) for k in range(1, 5)],
        NUMBERS,
    ),
    "ADNI, dates": ([f"{p % 9:03d}_S_{p:04d}_20{k:02d}-04-18" for p in range(40) for k in (6, 7, 9)], DATES),
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
    "numbered patients": [f"P{k:03d}" for k in range(1, 301)],
    "centre and patient": [f"{s:02d}-{k:03d}" for s in range(1, 25) for k in range(1, 18)],
    "centre before a patient": [f"patient-{s:02d}-{k:03d}" for s in range(1, 25) for k in range(1, 18)],
    "centre in folders": [f"site{s}/P{k:03d}" for s in range(12) for k in range(20)],
    "files of patients": [f"images/P{k:03d}.nii.gz" for k in range(200)],
    "one date each": [f"P{k:03d}_2021-{k % 12 + 1:02d}-{k % 28 + 1:02d}" for k in range(200)],
    "running number of a day": [
        f"{k:02d}-2021{m:02d}{d:02d}" for m in (1, 2) for d in range(1, 28) for k in range(1, 12)
    ],
    "running number of a year": [f"{k:04d}-{year}" for year in range(2018, 2022) for k in range(1, 90)],
    "number and year": [f"{k}/{year}" for year in (2020, 2021) for k in range(1, 120)],
    "centres of a study": [f"study-{s:02d}-{k:03d}" for s in range(1, 25) for k in range(1, 18)],
    "BraTS 2020": [f"BraTS20_Training_{k:03d}" for k in range(1, 370)],
    "TCGA samples": [f"TCGA-{k % 29:02d}-{k:04d}-01A" for k in range(200)],
    "hex hashes with a number": [f"{''.join(STREAM.choice(list('0123456789abcdef'), 12))}.png" for _ in range(300)],
    "UUIDs": [str(uuid.UUID(bytes=STREAM.bytes(16))) for _ in range(300)],
    "UIDs": [f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{STREAM.integers(10**15, 10**16)}" for _ in range(150)],
    "CHAOS": [f"{one}_{k}" for one in ("CT", "MR") for k in range(1, 41)],
    "one image each": [f"patient{k:05d}/study1/view1_frontal.jpg" for k in range(200)],
    "one eye each": [f"{k}_{('left', 'right')[k % 2]}.jpg" for k in range(200)],
    "nnU-Net": [f"case_{k:05d}_0000.nii.gz" for k in range(200)],
    "ISIC": [f"ISIC_{k:07d}.jpg" for k in range(24306, 24606)],
    "KiTS": [f"case_{k:05d}" for k in range(300)],
    "too few": [f"P{p}_{side}" for p in range(9) for side in "LR"],
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_one_person_are_recognised(name: str) -> None:
    names, kind = IMAGES[name]
    for order in (names, names[::-1]):
        stems = regular_stems(order)
        assert stems is not None
        assert stems.kind == kind
    deepest = deepest_stems(names)
    assert deepest is not None
    pattern, persons = deepest.pattern(), deepest.of
    assert len(set(persons.values())) in (12, 20, 40), "the persons that each list was made for"
    if pattern is not None:
        for suffix in ("", ".png"):
            groups = {one: re.search(pattern, f"images/{one}{suffix}")[1] for one in names}
            assert len({(groups[one], persons[one]) for one in names}) == len(set(persons.values()))


@pytest.mark.long
def test_usual_names_have_a_short_pattern() -> None:
    without = {name for name, (names, _) in IMAGES.items() if deepest_stems(names).pattern() is None}
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
