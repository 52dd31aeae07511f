"""The contract suite of cohorts: every built-in source keeps it, and every clause can be broken."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image as Picture

from equipoise.cohorts import Case, Cohort
from equipoise.cohorts.cohort import Image
from equipoise.cohorts.layouts.brats import brats
from equipoise.cohorts.layouts.folders import folders
from equipoise.cohorts.layouts.medmnist import medmnist
from equipoise.cohorts.lidc.outlines import lidc_contours
from equipoise.cohorts.lidc.scans import lidc
from equipoise.errors import CohortError, EquipoiseError
from equipoise.testing import check_cohort
from equipoise.testing.cohort import CLAUSES
from equipoise.testing.phantoms.brats import write_brats
from equipoise.testing.phantoms.cases import phantom
from equipoise.testing.phantoms.lidc import write_lidc
from equipoise.testing.violation import ContractViolation


def pixels(index: int, image: Image) -> Image:
    return Image(image.array + index, image.spacing_mm, None if image.mask is None else image.mask.copy())


def good(path: Path | None, segments: bool = False) -> Cohort:
    """A well-behaved cohort of a stranger."""
    if path is not None and not path.exists():
        raise CohortError(f"{path} does not exist; give the data")
    mask = np.eye(6, dtype=np.uint8) if segments else None
    read = partial(pixels, image=Image(np.ones((1, 6, 6)), (1.0, 1.0), mask))
    cases = tuple(
        Case(
            f"c{k}", f"p{k // 2}", partial(read, k), None if segments else k % 2, None, {"age": 40 + k}, {"f": "0" * 64}
        )
        for k in range(10)
    )
    task = "segmentation" if segments else "classification"
    return Cohort("good", task, cases, ("a", "b"), ("grey",), 2)


def each(cohort: Cohort, change: Callable[[Case], Case]) -> Cohort:
    return replace(cohort, cases=tuple(map(change, cohort.cases)))


def with_image(cohort: Cohort, image: Image) -> Cohort:
    return each(cohort, lambda case: replace(case, read=partial(pixels, 0, image)))


_SHARED = np.ones((1, 6, 6))
_CALLS: Iterator[int] = iter(range(10**6))


def broken(name: str, path: Path | None) -> Cohort | None:
    """The good cohort with one clause broken."""
    flat = Image(np.ones((1, 6, 6)), (1.0, 1.0))
    plain, masked = good(path), good(path, segments=True)
    changes: dict[str, Callable[[], Cohort | None]] = {
        "no cohort": lambda: None,
        "empty patient": lambda: each(plain, lambda case: replace(case, patient="")),
        "odd part": lambda: each(plain, lambda case: replace(case, part="val")),
        "empty class": lambda: replace(plain, classes=("a", "b", "c")),
        "odd region": lambda: replace(masked, regions=MappingProxyType({"all": (1, 2)})),
        "list as attribute": lambda: each(plain, lambda case: replace(case, attributes={"ages": [1]})),
        "no size": lambda: replace(plain, size_attribute="diameter_mm"),
        "no hashes": lambda: each(plain, lambda case: replace(case, sha256={})),
        "absolute names": lambda: each(plain, lambda case: replace(case, sha256={"/tmp/x": "0" * 64})),
        "channels": lambda: with_image(plain, Image(np.ones((2, 6, 6)), (1.0, 1.0))),
        "dimensions": lambda: with_image(plain, Image(np.ones((1, 6, 6, 6)), (1.0,) * 3)),
        "not finite": lambda: with_image(plain, Image(np.full((1, 6, 6), np.nan), (1.0, 1.0))),
        "spacing": lambda: with_image(plain, Image(np.ones((1, 6, 6)), (1.0, 0.0))),
        "no image": lambda: each(plain, lambda case: replace(case, read=partial(np.ones, 3))),
        "no mask": lambda: with_image(masked, flat),
        "float mask": lambda: with_image(masked, Image(flat.array, flat.spacing_mm, np.ones((6, 6)))),
        "odd mask": lambda: with_image(masked, Image(flat.array, flat.spacing_mm, np.full((6, 6), 7))),
        "shared pixels": lambda: each(plain, lambda case: replace(case, read=partial(Image, _SHARED, (1.0, 1.0)))),
        "lambda": lambda: each(plain, lambda case: replace(case, read=lambda: Image(np.ones((1, 6, 6)), (1.0, 1.0)))),
        "other order": lambda: replace(plain, cases=plain.cases[:: (-1) ** next(_CALLS)]),
        "other labels": lambda: each(plain, lambda case: replace(case, patient=f"{next(_CALLS)}")),
    }
    return changes[name]()


BROKEN = {
    "no cohort": "Returns an equipoise.Cohort",
    "empty patient": "Ids and patients",
    "odd part": "Ids and patients",
    "empty class": "Every class has a case",
    "odd region": "Every class has a case",
    "list as attribute": "Attributes are",
    "no size": "Attributes are",
    "no hashes": "A case that was read from files",
    "absolute names": "A case that was read from files",
    "channels": "Every image has",
    "dimensions": "Every image has",
    "not finite": "Every image has",
    "spacing": "Every image has",
    "no image": "Reading a case gives an Image",
    "no mask": "Where the truth is masks",
    "float mask": "Where the truth is masks",
    "odd mask": "Where the truth is masks",
    "shared pixels": "A case read again",
    "lambda": "sent to another process",
    "other order": "Called again",
    "other labels": "Called again",
}


@pytest.mark.parametrize("name", BROKEN)
def test_every_clause_can_be_broken(tmp_path: Path, name: str) -> None:
    def mine(path: Path | None) -> Cohort | None:
        if path is not None and not path.exists():
            raise CohortError(f"{path} does not exist; give the data")
        return broken(name, path)

    with pytest.raises(ContractViolation, match=BROKEN[name]) as caught:
        check_cohort(mine, tmp_path)
    assert "cohort mine breaks the clause" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (KeyError("x"), "raised KeyError"),
        (CohortError("nothing there"), "its message is 'nothing there'"),
        (None, "returned a cohort"),
    ],
)
def test_a_missing_path_must_be_named(tmp_path: Path, error: Exception | None, found: str) -> None:
    def mine(path: Path) -> Cohort:
        if error is not None and not path.exists():
            raise error
        return good(tmp_path)

    with pytest.raises(ContractViolation, match=found):
        check_cohort(mine, tmp_path)


@pytest.mark.parametrize("segments", [False, True])
def test_a_well_behaved_stranger_passes(tmp_path: Path, segments: bool) -> None:
    report = check_cohort(good, tmp_path, segments=segments)
    assert len(report.clauses) == len(CLAUSES)
    assert str(report).count("good: ") == len(CLAUSES)
    assert check_cohort(good).name == "good"


def a_folder(place: Path) -> Path:
    for name, index in (("benign", 0), ("malignant", 1)):
        (place / name).mkdir(parents=True)
        for k in range(3):
            noise = np.random.default_rng([index, k]).integers(0, 255, (9, 11), np.uint8)
            Picture.fromarray(noise).save(place / name / f"{k}.png")
    return place


def a_medmnist(place: Path) -> Path:
    generator = np.random.default_rng(0)
    parts = ("train", "val", "test")
    arrays = {f"{part}_images": generator.integers(0, 255, (6, 8, 8), np.uint8) for part in parts}
    np.savez(place / "m.npz", **arrays, **{f"{part}_labels": np.arange(6)[:, None] % 2 for part in parts})
    return place / "m.npz"


SOURCES: dict[str, Callable[[Path], object]] = {
    "phantom": lambda _: check_cohort(phantom, cases=8, size=12),
    "phantom with masks": lambda _: check_cohort(phantom, task="segmentation", cases=6, size=12, spatial_dims=3),
    "lidc-contours": lambda _: check_cohort(lidc_contours),
    "brats": lambda place: (write_brats(place, cases=2, shape=(16, 16, 12)), check_cohort(brats, place)),
    "lidc": lambda place: (write_lidc(place, patients=2), check_cohort(lidc, place, min_readers=1, size=12)),
    "folders": lambda place: check_cohort(folders, a_folder(place / "data")),
    "medmnist": lambda place: check_cohort(medmnist, a_medmnist(place)),
}


@pytest.mark.long
@pytest.mark.parametrize("name", SOURCES)
def test_built_in_sources_keep_the_contract(tmp_path: Path, name: str) -> None:
    try:
        SOURCES[name](tmp_path)
    except EquipoiseError as error:
        pytest.fail(str(error))
