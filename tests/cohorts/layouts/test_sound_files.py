"""A file known to be sound is not inflated again; whatever changed, or was odd, is."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.formats.reading import read_any
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts import sound_files, volumes
from equipoise.cohorts.layouts.channels import channel_options
from equipoise.cohorts.layouts.manifest import manifest
from equipoise.cohorts.layouts.sound_files import Held, SoundFiles


def volume(path, hole=False):
    data = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)
    data[0, 0, 0] = np.nan if hole else 0
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return path


def looked(root, cache, path, nonfinite="refuse"):
    known = SoundFiles(root, cache)
    scan = known.look(path, nonfinite)
    known.keep()
    return scan


def test_a_second_look_reads_the_header_alone(tmp_path, monkeypatch):
    path, cache = volume(tmp_path / "a.nii.gz"), tmp_path / "cache"
    first = looked(tmp_path, cache, path)
    with monkeypatch.context() as closed:
        closed.setattr(sound_files, "read_nifti", lambda *_, **__: pytest.fail("it was read again"))
        second = looked(tmp_path, cache, path)
    assert second.sha256 == first.sha256
    assert second.array.shape == first.array.shape
    assert np.array_equal(second.affine, first.affine)


def test_a_changed_file_is_read_and_refused(tmp_path):
    path, cache = volume(tmp_path / "a.nii.gz"), tmp_path / "cache"
    looked(tmp_path, cache, path)
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1
    path.write_bytes(raw)
    for _ in range(2):
        with pytest.raises(RefusedFile, match="gzip"):
            looked(tmp_path, cache, path)


def test_files_with_holes_are_read_each_time_and_remarked(tmp_path):
    path, cache = volume(tmp_path / "a.nii.gz", hole=True), tmp_path / "cache"
    for _ in range(2):
        assert "1 voxels" in looked(tmp_path, cache, path, "zero").remarks[0]
        with pytest.raises(RefusedFile, match="NaN"):
            looked(tmp_path, cache, path)


def test_a_damaged_cache_counts_as_none(tmp_path):
    path, cache = volume(tmp_path / "a.nii.gz"), tmp_path / "cache"
    looked(tmp_path, cache, path)
    for entry in cache.glob("*.npz"):
        entry.write_bytes(entry.read_bytes()[:-3])
    assert looked(tmp_path, cache, path).array.any()


@pytest.mark.parametrize("colour", ["grey", "equal", "true"])
def test_a_picture_that_is_known_is_not_decoded_again_and_says_the_same(tmp_path, monkeypatch, colour):
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 3)).astype(np.uint8)
    shown = {"grey": pixels[..., 0], "equal": np.repeat(pixels[..., :1], 3, axis=2), "true": pixels}[colour]
    path, cache = tmp_path / "a.png", tmp_path / "cache"
    Image.fromarray(shown).save(path)
    known = SoundFiles(tmp_path, cache)
    first = known.look_at_picture(path, "refuse")
    known.keep()
    with monkeypatch.context() as closed:
        closed.setattr(sound_files, "read_any", lambda *_, **__: pytest.fail("it was read again"))
        second = SoundFiles(tmp_path, cache).look_at_picture(path, "refuse")
    assert (second.array.shape, second.array.dtype, second.sha256) == (
        first.array.shape,
        first.array.dtype,
        first.sha256,
    )
    assert (second.spacing_mm, dict(second.header), second.remarks) == (
        first.spacing_mm, dict(first.header), first.remarks,
    )  # fmt: skip
    assert channel_options([second]) == channel_options([first])


def test_pictures_that_are_known_are_hashed_in_one_thread(tmp_path, monkeypatch):
    rows = ["case,image,label"]
    for number in range(6):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"c{number},{number}.png,{'ab'[number % 2]}")
    (tmp_path / "cohort.csv").write_text("\n".join(rows))
    first = manifest(tmp_path / "cohort.csv")
    monkeypatch.setattr(volumes, "side_by_side", lambda *_: pytest.fail("threads for what is known"))
    assert manifest(tmp_path / "cohort.csv").fingerprint() == first.fingerprint()
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(tmp_path / "3.png")
    assert manifest(tmp_path / "cohort.csv").fingerprint() != first.fingerprint()


def test_held_pixels_are_given_once_and_not_of_a_file_that_was_written_since(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    scan = read_any(paths[0])
    held = Held(most=2 * scan.array.nbytes)
    for path in paths:
        held.hold(path, scan)
    assert held.take(paths[2]) is None, "there was no room for it"
    assert held.take(paths[0]).array is scan.array
    assert held.take(paths[0]) is None
    paths[1].write_bytes(b"something else")
    assert held.take(paths[1]) is None
