"""Images of one person under several patients' names are joined where scores go together; hospitals are left alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import f_oneway

from equipoise import audit
from equipoise.evaluation.external.case_numbers import CaseNumbers
from equipoise.evaluation.external.person_names import _chance, intraclass, joined_by_name

VIEWS = [f"{side}-{view}" for view in ("CC", "MLO", "XC", "ML") for side in "LR"]


def numbers(values: np.ndarray, patients: list[str]) -> CaseNumbers:
    cases = np.array([f"c{k}" for k in range(len(values))])
    return CaseNumbers(cases, np.array(patients), np.zeros(len(cases), dtype=np.int64), values, np.array(["a", "b"]))


def joined(values: np.ndarray, patients: list[str]) -> tuple[dict[str, str], list[str]]:
    return joined_by_name(numbers(values, patients), set(patients))


def images(persons: int, each: int, share: float, seed: int = 0) -> np.ndarray:
    """Scores (cases, 2) of so many images of each person; share: of the variance that lies between persons."""
    stream = np.random.default_rng(seed)
    between = np.sqrt(share) * stream.normal(size=(persons, 2)).repeat(each, axis=0)
    return between + np.sqrt(1 - share) * stream.normal(size=(persons * each, 2))


def test_hospitals_before_a_running_number_are_no_patients() -> None:
    stream = np.random.default_rng(0)
    hospital = np.repeat(np.arange(20), 10)
    latent = stream.normal(size=200) + 0.5 * stream.normal(size=20)[hospital]
    values = latent[:, None] + 0.3 * stream.normal(size=(200, 2))
    names = [f"H{h:02d}_{k:03d}" for k, h in enumerate(hospital)]
    assert joined(values, names) == ({}, [])
    slices = np.round(values[::10].repeat(10, axis=0) + 0.01 * stream.normal(size=(200, 2)), 6)
    assert len(joined(slices, names)[0]) == 180


NAMES: dict[str, Callable[[int, int], str]] = {
    "view": lambda p, k: f"P{p:03d}_{VIEWS[k]}",
    "letter": lambda p, k: f"P{p:03d}{'abcdefgh'[k]}",
    "number": lambda p, k: f"P{p:03d}-{k}",
    "slice": lambda p, k: f"{p:03d}_slice_{k + 10 * p:04d}",
    "frame": lambda p, k: f"vid{p:03d}_frame_{k * 25:05d}.png",
    "date": lambda p, k: f"P{p:03d}_2021-0{k + 1}-1{p % 9}",
    "brackets": lambda p, k: f"P{p:03d} ({k + 1})",
    "folder": lambda p, k: f"{p:03d}/{k}",
    "view before": lambda p, k: f"{VIEWS[k]}_{p:03d}",
    "TCGA": lambda p, k: f"TCGA-02-{p:04d}-01Z-00-DX{k + 1}",
}
OTHERS: dict[str, Callable[[int, int], str]] = {
    "unknown words": lambda p, k: f"P{p:03d}_{WORDS[(p + k) % 9]}_{WORDS[k]}",
    "study, series, instance": lambda p, k: f"1.2.840.{1000 + p}.{7919 * (8 * p + k) % 9973}.{k // 2 + 300}.{k + 5000}",
    "unknown words before": lambda p, k: f"{WORDS[k]}_x_{p:03d}",
    "dates without signs": lambda p, k: f"{4000 + p}_21{k + 1:02d}1{p % 9}",
    "three digits": lambda p, k: f"P{p:03d}/{p * 8 + k:03d}/raw",
}
WORDS = ["alpha", "bravo", "china", "delta", "echo", "foxtrot", "golf", "hotel", "india"]


@pytest.mark.parametrize("scheme", OTHERS)
def test_names_whose_parts_mean_nothing_known_are_joined_where_scores_agree_nearly(scheme: str) -> None:
    patients = [OTHERS[scheme](p, k) for p in range(30) for k in range(8)]
    names, notes = joined(images(30, 8, 0.85), patients)
    assert len(names) == 210
    assert "of the variance of" in notes[0]
    for share in (0.0, 0.3):
        assert joined(images(30, 8, share), patients) == ({}, []), "hospitals have such names, too"


HONEST: dict[str, Callable[[int], str]] = {
    "numbered": lambda k: f"P{k:03d}",
    "centre and patient": lambda k: f"{k // 10 + 1:02d}-{k % 10:03d}",
    "centre, ward, patient": lambda k: f"site{k // 20}/w{k // 5 % 4}/{7919 * k % 9973:04d}",
    "TCGA": lambda k: f"TCGA-{k % 19:02d}-{k:04d}",
    "LIDC": lambda k: f"LIDC-IDRI-{k:04d}",
    "BraTS": lambda k: f"BraTS20_Training_{k:03d}",
    "hash": lambda k: f"{7919 * 7919 * (k + 1) % 16**8:08x}",
}


@pytest.mark.parametrize("scheme", HONEST)
def test_strangers_are_left_alone_and_so_are_hospitals_of_different_levels(scheme: str) -> None:
    stream, patients = np.random.default_rng(1), [HONEST[scheme](k) for k in range(240)]
    for hospitals in (0.0, 0.7):
        level = hospitals * stream.normal(size=24)[np.arange(240) // 10]
        latent = level + stream.normal(size=240)
        assert joined(latent[:, None] + 0.3 * stream.normal(size=(240, 2)), patients) == ({}, [])


def test_cases_of_two_sites_are_counted_and_the_note_says_so() -> None:
    patients = [f"case_{p}_{site}" for p in range(40) for site in "ab"]
    names, notes = joined(images(80, 1, 0.5), patients)
    assert names == {}
    assert "their scores do not show it: they were counted as 80 patients; if they are fewer" in notes[0]


@pytest.mark.parametrize("scheme", NAMES)
def test_images_of_one_person_are_joined_where_scores_go_together(scheme: str) -> None:
    patients = [NAMES[scheme](p, k) for p in range(30) for k in range(8)]
    names, notes = joined(images(30, 8, 0.4), patients)
    assert len(names) == 210
    assert "210 patients were joined" in notes[0]
    names, notes = joined(images(30, 8, 0.0), patients)
    assert names == {}
    assert "their scores do not show it: they were counted as 240 patients" in notes[0]


def test_a_beginning_that_recurs_needs_scores_that_agree_nearly() -> None:
    patients = [f"S{k}-P{p:03d}" for p in range(30) for k in range(8)]
    assert len(joined(images(30, 8, 0.85), patients)[0]) == 210
    for share in (0.0, 0.4):
        assert joined(images(30, 8, share), patients) == ({}, []), "hospitals that number their patients alike"


def test_patients_of_other_parts_are_joined_too() -> None:
    patients = [NAMES["view"](p, k) for p in range(30) for k in range(8)]
    names, _ = joined_by_name(numbers(images(30, 8, 0.8), patients), {*patients, "P003_L", "P999_L-CC"})
    assert names["P003_L-CC"] == "P003_L"
    assert "P999_L-CC" not in names


def test_that_a_patients_own_cases_agree_says_nothing_of_others() -> None:
    patients = [name for p in range(30) for side in "LR" for name in [f"P{p:03d}-{side}"] * 6]
    assert joined(images(60, 6, 0.9), patients)[0] == {}


def test_the_intraclass_correlation_is_that_of_the_variances() -> None:
    """Fleiss 1986, one-way layout: (MSB − MSW) / (MSB + (k − 1) MSW); its p value is scipy's of the F test."""
    values, group = np.array([1.0, 3.0, 6.0, 8.0, 4.0, 4.0]), np.array([0, 0, 1, 1, 2, 2])
    between, within = (2 * (2 - 13 / 3) ** 2 + 2 * (7 - 13 / 3) ** 2 + 2 * (4 - 13 / 3) ** 2) / 2, 4 / 3
    share = intraclass(values, group)
    assert share == pytest.approx((between - within) / (between + within))
    assert _chance(share, group) == pytest.approx(f_oneway(*values.reshape(3, 2)).pvalue)
    unequal = np.array([0, 0, 0, 1, 1, 2])
    oracle = f_oneway(values[:3], values[3:5], values[5:]).pvalue
    assert _chance(intraclass(values, unequal), unequal) == pytest.approx(oracle)


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["view", "letter"])
def test_an_audit_counts_persons(scheme: str) -> None:
    stream, truth = np.random.default_rng(3), np.repeat(np.arange(30) % 2, 8)
    rows: dict[str, list[Any]] = {"arm": [], "case": [], "truth": [], "score": []}
    for arm in "ab":
        latent = 1.2 * stream.normal(size=30).repeat(8) + 0.4 * stream.normal(size=240) + 1.6 * (truth - 0.5)
        rows["arm"] += [arm] * 240
        rows["case"] += [NAMES[scheme](p, k) for p in range(30) for k in range(8)]
        rows["truth"] += truth.tolist()
        rows["score"] += (1 / (1 + np.exp(-latent))).tolist()
    persons = [name[:4] for name in rows["case"]]
    as_named, true = audit({**rows, "patient": rows["case"]}), audit({**rows, "patient": persons})
    assert as_named["cohort"]["patients"] == 30
    assert as_named["comparisons"][0]["p"] == pytest.approx(true["comparisons"][0]["p"], abs=1e-9)
