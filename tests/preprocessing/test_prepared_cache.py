"""The cache gives back the same bits, for the same content only, and only where it pays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts.cohort import Image
from equipoise.preprocessing import Pipeline
from equipoise.preprocessing.cache import apply_cached, prepared_key

PIPELINE = Pipeline.from_settings({"crop": True, "resample": 1.4, "smooth_labels": 1.0})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path))
    return tmp_path


def volume(size: int = 64) -> Image:
    generator = np.random.default_rng(0)
    pixels = generator.random((1, size, size, size)).astype(np.float32)
    pixels[:, :5] = 0
    return Image(pixels, (1.0, 1.0, 2.0), (pixels[0] > 0.7).astype(np.uint8), np.diag([-2.0, 1.0, 1.0, 1.0]))


def test_the_second_time_gives_the_same_bits(folder: Path) -> None:
    image = volume()
    first, second, plain = apply_cached(image, PIPELINE, 2), apply_cached(image, PIPELINE, 2), PIPELINE.apply(image, 2)
    assert len(list(folder.glob("*.npz"))) == 1
    for prepared in (first, second):
        np.testing.assert_array_equal(prepared.image, plain.image)
        assert prepared.target is not None
        assert plain.target is not None
        np.testing.assert_array_equal(prepared.target, plain.target)
        assert prepared.record == plain.record


@pytest.mark.long
def test_a_damaged_entry_is_made_anew(folder: Path) -> None:
    image = volume()
    apply_cached(image, PIPELINE, 2)
    (entry,) = folder.glob("*.npz")
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 4
    entry.write_bytes(content)
    np.testing.assert_array_equal(apply_cached(image, PIPELINE, 2).image, PIPELINE.apply(image, 2).image)


def test_every_ingredient_changes_the_key() -> None:
    image = volume(8)
    assert image.mask is not None
    assert image.affine is not None
    brighter = image.array.copy()
    brighter[0, 1, 1, 1] += 1e-3
    variants = [
        (image, PIPELINE, 2),
        (replace(image, array=brighter), PIPELINE, 2),
        (replace(image, mask=1 - image.mask), PIPELINE, 2),
        (replace(image, mask=None), PIPELINE, 2),
        (replace(image, affine=None), PIPELINE, 2),
        (replace(image, spacing_mm=(1.0, 2.0, 1.0)), PIPELINE, 2),
        (replace(image, array=image.array.astype(np.float64)), PIPELINE, 2),
        (image, PIPELINE.hard, 2),
        (image, PIPELINE, 3),
    ]
    assert len({prepared_key(*variant) for variant in variants}) == len(variants)


def test_small_or_cheap_work_is_not_kept(folder: Path) -> None:
    apply_cached(volume(16), PIPELINE, 2)
    apply_cached(volume(), Pipeline(), 2)
    assert not list(folder.glob("*.npz"))
