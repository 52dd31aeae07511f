"""Planted leaks are found, strangers are left alone, on real scans of three kinds."""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image as Picture
from scipy import ndimage

from equipoise.cohorts.cohort import Case, Cohort, Image
from equipoise.cohorts.lidc.outlines import lidc_contours
from equipoise.cohorts.splits.leakage import Leak, find_leaks, propose_groups, threshold
from equipoise.cohorts.splits.split import Fold, split
from equipoise.testing.phantoms.cases import phantom

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def grey(pixels: np.ndarray) -> np.ndarray:
    low, high = pixels.min(), pixels.max()
    return np.round(255 * (pixels - low) / max(high - low, 1))


def windowed(pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    low, high = np.percentile(pixels, [generator.uniform(0, 12), generator.uniform(88, 100)])
    return np.round(255 * np.clip((pixels - low) / (high - low), 0, 1))


def compressed(pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    Picture.fromarray(grey(pixels).astype(np.uint8)).save(file, "JPEG", quality=int(generator.integers(40, 90)))
    return np.asarray(Picture.open(file)).astype(float)


def shifted(pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    reach = max(1, round(0.04 * len(pixels)))
    return ndimage.shift(pixels, generator.integers(1, reach + 1, 2), order=0, mode="nearest")


CHANGES: dict[str, Change] = {
    "copy": lambda pixels, _: pixels.copy(),
    "window": windowed,
    "mirror": lambda pixels, generator: np.flip(pixels, int(generator.integers(2))),
    "turn": lambda pixels, generator: np.rot90(pixels, int(generator.integers(1, 4))),
    "compression": compressed,
    "shift": shifted,
    "turn and window": lambda pixels, generator: windowed(np.rot90(pixels, 3), generator),
}


def cohort_of(images: list[np.ndarray], patients: list[str], studies: list[str] | None = None) -> Cohort:
    cases = tuple(
        Case(
            f"{index:05d}",
            patient,
            partial(Image, np.asarray(pixels, dtype=float)[None], (1.0, 1.0)),
            0,
            attributes=MappingProxyType({"study": studies[index]} if studies else {}),
        )
        for index, (pixels, patient) in enumerate(zip(images, patients, strict=True))
    )
    return Cohort("planted", "classification", cases, ("only",), ("grey",), 2)


def read(shared_data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and the group of each."""
    if name == "lidc":
        stock = np.load(shared_data / "lidc_nodules2d" / "lidc_nodules2d_dev.npz")
        rows = (shared_data / "lidc_nodules2d" / "lidc_nodules2d_dev.csv").read_text().splitlines()
        return stock["images"], np.array([row.split(",")[1] for row in rows[1:]])
    if name == "cheng":
        stock = np.load(shared_data / "cheng_t1c_128" / "cheng_brain_t1c_128_dev.npz")
        return stock["images"], stock["pseudo_group"].astype(str)
    stock = np.load(shared_data / "pneumoniamnist" / "pneumoniamnist_rebuilt.npz")
    images = np.concatenate([stock["train_images"], stock["val_images"]])
    return images, np.arange(len(images)).astype(str)


def planted(images: np.ndarray, groups: np.ndarray, stock: int, each: int) -> tuple[Cohort, Fold, np.ndarray]:
    """Every kind of change `each` times, from train into test; returns the sources of the planted cases too."""
    generator = np.random.default_rng(7)
    chosen = np.sort(generator.choice(len(images), min(stock, len(images)), replace=False))
    pictures, owners = [images[index].astype(float) for index in chosen], list(groups[chosen])
    sources = generator.choice(len(chosen), each * len(CHANGES), replace=False)
    for number, source in enumerate(sources):
        change = list(CHANGES.values())[number // each]
        pictures.append(change(pictures[source], generator))
        owners.append(f"planted {number}")
    n = len(chosen)
    fold = Fold(np.arange(n), np.empty(0, np.int64), np.arange(n, len(pictures)))
    return cohort_of(pictures, owners), fold, sources


def judged(cohort: Cohort, fold: Fold, sources: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, set[int]]:
    """Which planted cases were traced to their source, and which were linked to a stranger."""
    pairs = {(int(leak.a), int(leak.b)) for leak in find_leaks(cohort, fold)}
    n = len(fold.train)
    found = np.array([(source, n + k) in pairs for k, source in enumerate(sources)])
    # Equal images within the training part are told too: pneumoniamnist has some.
    strangers = {b for a, b in pairs if b >= n and groups[a] != groups[sources[b - n]]}
    return found, strangers


@pytest.mark.long
@pytest.mark.parametrize("name", ["lidc", "cheng", "pneumonia"])
def test_planted_leaks_are_found(shared_data: Path, name: str) -> None:
    images, groups = read(shared_data, name)
    each = 8
    cohort, fold, sources = planted(images, groups, 500, each)
    found, strangers = judged(cohort, fold, sources, cohort.patients)
    assert found[:each].all(), "an exact copy was missed"
    assert found[each:].mean() >= 0.95
    assert len(strangers) <= 1


def alarms(images: np.ndarray, groups: np.ndarray) -> float:
    """The share of cases that near-duplicates are claimed of, between two halves of strangers."""
    _, owner = np.unique(groups, return_inverse=True)
    side = np.random.default_rng(0).integers(0, 2, owner.max() + 1)[owner]
    halves = Fold(np.flatnonzero(side == 0), np.empty(0, np.int64), np.flatnonzero(side == 1))
    found = find_leaks(cohort_of(list(images), list(groups)), halves)
    return len({case for leak in found if leak.kind == "near" for case in (leak.a, leak.b)}) / len(images)


@pytest.mark.long
@pytest.mark.parametrize("name", ["lidc", "cheng", "pneumonia"])
def test_strangers_raise_hardly_any_alarm(shared_data: Path, name: str) -> None:
    images, groups = read(shared_data, name)
    some = np.sort(np.random.default_rng(3).choice(len(images), 400, replace=False))
    assert alarms(images[some], groups[some]) <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lidc", "cheng", "pneumonia"])
def test_planted_leaks_and_false_alarms_on_whole_sets(shared_data: Path, name: str) -> None:
    images, groups = read(shared_data, name)
    cohort, fold, sources = planted(images, groups, len(images), 40)
    found, _ = judged(cohort, fold, sources, cohort.patients)
    assert found[:40].all()
    assert found[40:].mean() >= 0.95
    assert alarms(images, groups) <= 0.01


@pytest.mark.long
def test_the_known_shared_images_of_pneumoniamnist_are_found(shared_data: Path) -> None:
    stock = np.load(shared_data / "pneumoniamnist" / "pneumoniamnist_rebuilt.npz")
    train, validation = stock["train_images"], stock["val_images"]
    contents = {image.tobytes() for image in validation}
    twins = [index for index, image in enumerate(train) if image.tobytes() in contents]
    kept = sorted({*twins, *range(0, len(train), 40)})
    images = [*train[kept], *validation]
    cohort = cohort_of(images, [str(index) for index in range(len(images))])
    fold = Fold(np.arange(len(kept)), np.arange(len(kept), len(images)), np.empty(0, np.int64))
    equal = [leak for leak in find_leaks(cohort, fold) if leak.kind == "equal"]
    assert len({leak.b for leak in equal}) == 8
    for leak in equal:
        np.testing.assert_array_equal(images[int(leak.a)], images[int(leak.b)])


@pytest.mark.long
def test_neighbouring_slices_of_a_volume_are_near_duplicates(shared_data: Path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="the volume is a NIfTI file")
    file = sorted((shared_data / "brats").rglob("*t1n.nii.gz"))[0]
    volume = np.asarray(nibabel.load(file).dataobj).astype(float)
    others, _ = read(shared_data, "cheng")
    first, second = [volume[:, :, z] for z in range(40, 120, 8)], [volume[:, :, z + 1] for z in range(40, 120, 8)]
    images = [*others[::10], *first, *second]
    n = len(images)
    cohort = cohort_of(images, [str(index) for index in range(n)])
    fold = Fold(np.arange(n - 10), np.empty(0, np.int64), np.arange(n - 10, n))
    pairs = {(int(leak.a), int(leak.b)) for leak in find_leaks(cohort, fold)}
    assert sum((n - 20 + k, n - 10 + k) in pairs for k in range(10)) >= 9


@pytest.mark.long
def test_proposed_groups_follow_neighbouring_slices(shared_data: Path) -> None:
    images, groups = read(shared_data, "cheng")
    images, groups = images[:400], groups[:400]
    guess = propose_groups(cohort_of(list(images), [str(index) for index in range(400)]))
    together = guess[1:] == guess[:-1]
    same = groups[1:] == groups[:-1]
    assert together[same].mean() > 0.7
    assert together[~same].mean() < 0.15


def noise(count: int, seed: int = 0) -> list[np.ndarray]:
    return list(ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((count, 40, 40)), (0, 1, 1)))


def test_shared_patients_and_studies_are_named_once() -> None:
    cohort = cohort_of(noise(6), ["p", "p", "q", "p", "r", "s"], ["", "", "x", "", "x", "y"])
    fold = Fold(np.array([0, 1, 2]), np.array([3]), np.array([4, 5]))
    assert find_leaks(cohort, fold) == [Leak("00000", "00003", "patient"), Leak("00002", "00004", "study")]


@pytest.mark.long
def test_pairs_of_one_patient_or_left_out_are_no_leaks() -> None:
    images = noise(5)
    images[1] = images[0]
    images[4] = images[2]
    cohort = cohort_of(images, list("abcde"))
    fold = Fold(np.array([0, 1]), np.array([2]), np.array([3]))
    assert find_leaks(cohort, fold) == [Leak("00000", "00001", "copy")]
    assert find_leaks(cohort_of(images, list("aacde")), fold) == []
    crossing = Fold(np.array([0, 2]), np.array([3]), np.array([1, 4]))
    assert {(leak.a, leak.b, leak.kind) for leak in find_leaks(cohort, crossing)} == {
        ("00000", "00001", "equal"),
        ("00002", "00004", "equal"),
    }
    assert len(find_leaks(cohort, [fold, crossing])) == 2


def test_copies_under_several_patients_of_one_part_are_named() -> None:
    tested = noise(24, 1)
    images = [*noise(12), *(image for image in tested for _ in range(8))]
    cohort = cohort_of(images, [f"p{k}" for k in range(len(images))])
    fold = Fold(np.arange(8), np.arange(8, 12), np.arange(12, len(images)))
    leaks = find_leaks(cohort, fold)
    assert [leak.kind for leak in leaks] == ["copy"] * 24 * 7
    assert {int(leak.a) for leak in leaks} == set(range(12, len(images), 8)), "each pair is with the first of its image"


def test_nearly_equal_test_images_of_several_patients_are_named() -> None:
    stream = np.random.default_rng(3)
    tested = [grey(image) for image in noise(24, 1)]
    copies = [image + stream.integers(-1, 2, image.shape) for image in tested for _ in range(2)]
    images = [*map(grey, noise(24)), *copies]
    cohort = cohort_of(images, [f"p{k}" for k in range(len(images))])
    everything = np.arange(len(images))
    fold = Fold(everything[:16], everything[16:24], everything[24:])
    leaks = find_leaks(cohort, fold)
    assert {leak.kind for leak in leaks} == {"near copy"}
    assert {(int(leak.a), int(leak.b)) for leak in leaks} == {(k, k + 1) for k in range(24, 72, 2)}
    elsewhere = Fold(everything[24:], everything[16:24], everything[:16])
    assert find_leaks(cohort, elsewhere) == [], "training cases count for no interval"


@pytest.mark.long
def test_simple_shapes_of_strangers_raise_no_alarm() -> None:
    cohort = lidc_contours(min_readers=3)
    assert find_leaks(cohort, split(cohort)) == []


@pytest.mark.long
def test_unrelated_phantoms_raise_no_alarm() -> None:
    for settings in ({"cases": 120}, {"cases": 40, "spatial_dims": 3, "size": 20}, {"cases": 40, "channels": 3}):
        cohort = phantom(**settings)  # type: ignore[arg-type]
        assert find_leaks(cohort, split(cohort)) == []


@pytest.mark.long
def test_volumes_that_are_copies_are_found() -> None:
    cohort = phantom(cases=30, patients=30, spatial_dims=3, size=20)
    twin = cohort.cases[3].read().array * 2 + 5
    case = Case("twin", "someone", partial(Image, twin, (1.0, 1.0, 1.0)), 0)
    more = Cohort("more", cohort.task, (*cohort.cases, case), cohort.classes, cohort.channels, 3)
    fold = Fold(np.arange(30), np.empty(0, np.int64), np.array([30]))
    assert find_leaks(more, fold) == [Leak("phantom-00003", "twin", "near")]


def test_the_threshold_stays_within_its_bounds() -> None:
    assert threshold(np.empty(0, np.float32)) == pytest.approx(0.90)
    assert threshold(np.full(50, 0.1, np.float32)) == pytest.approx(0.80)
    assert threshold(np.linspace(0.5, 1, 50, dtype=np.float32)) == pytest.approx(0.90)


def test_equal_pixels_of_one_guessed_patient_are_called_equal() -> None:
    images = noise(6)
    images[3] = images[0]
    cohort = cohort_of(images, ["g", "h", "h", "g", "h", "i"])
    fold = Fold(np.array([0, 1]), np.array([2]), np.array([3, 4, 5]))
    assert [(leak.b, leak.kind) for leak in find_leaks(cohort, fold)] == [("00003", "patient"), ("00002", "patient")]
    guessed = replace(cohort, patients_known=False, patients_guessed=True)
    assert [(leak.b, leak.kind) for leak in find_leaks(guessed, fold)] == [("00002", "patient"), ("00003", "equal")]


def test_pictures_that_all_look_alike_are_one_group() -> None:
    # Equal as pictures, though not as pixels: a faint difference far below one grey level of the 64 × 64 picture.
    image = np.add.outer(np.arange(32.0), np.arange(32.0))
    cases = tuple(
        Case(f"c{k}", f"c{k}", partial(Image, (image * (1 + k))[None], (1.0, 1.0)), label=k % 2) for k in range(4)
    )
    cohort = Cohort("x", "classification", cases, ("a", "b"), ("grey",), 2, patients_known=False)
    assert len(set(propose_groups(cohort))) == 1
