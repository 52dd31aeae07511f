"""What a fingerprint says of cohorts, and which modality images are taken for."""

from types import MappingProxyType

import numpy as np
import pytest

from equipoise.cohorts import Case, Cohort, Image
from equipoise.cohorts.case_cards import card_of
from equipoise.configuration.fingerprint import fingerprint
from equipoise.configuration.modality import modality


def made(masks: list[np.ndarray], pixels: np.ndarray, spacing: float = 1.0) -> tuple[Cohort, list]:
    images = [Image(pixels[None], (spacing,) * pixels.ndim, mask) for mask in masks]
    cases = tuple(
        Case(f"c{k}", f"p{k // 2}", lambda image=image: image, attributes=MappingProxyType({}))
        for k, image in enumerate(images)
    )
    cohort = Cohort("x", "segmentation", cases, ("background", "organ", "lesion"), ("CT",), pixels.ndim)
    return cohort, [card_of(image, shown=False) for image in images]


def test_shares_of_classes_and_the_window_within_them() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[:2], mask[2, :2], mask[9] = 1, 2, 255
    pixels = np.where(mask == 1, 60.0, np.where(mask == 2, 40.0, -1000.0))
    cohort, cards = made([mask, mask, np.zeros_like(mask), mask], pixels)
    seen = fingerprint(cohort, cards)
    assert seen.foreground == pytest.approx(22 / 90), "voxels that nobody labelled do not count"
    assert seen.rarest == pytest.approx(2 / 90), "among the cases that show the class"
    assert seen.window[1] == 60
    assert 40 <= seen.window[0] < 41
    assert (seen.patients, seen.cases, seen.modality) == (2, 4, "CT")
    assert fingerprint(cohort, cards, [2]).foreground == 0, "cases that are left out do not count"
    assert seen.as_json()["median_spacing_mm"] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("channels", "levels", "values", "kind"),
    [
        (("T1", "T1ce", "T2-FLAIR"), [[[0, 9, 99]] * 3], [90], "MR"),
        (("MRI",), [[[0, 9, 99]]], [90], "MR"),
        (("CT", "PET"), [[[-1000, 0, 300], [0, 1, 9]]], [900], "other"),
        (("image",), [[[-1000, 0, 300]]], [900], "CT"),
        (("red", "green", "blue"), [[[0, 100, 250]] * 3], [256], "picture"),
        (("image",), [[[0, 100, 4000]]], [4000], "other"),
        (("image",), [[[0, 0.2, 1.0]]], [200], "other"),
        (("actual",), [[[0, 9, 4000]]], [4000], "other"),
    ],
)
def test_modality(channels: tuple[str, ...], levels: list, values: list[int], kind: str) -> None:
    assert modality(channels, levels, values) == kind
