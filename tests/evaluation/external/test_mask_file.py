"""Masks as other tools save them: labels, channels last, channels first, arrays, pictures."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from equipoise.errors import EquipoiseError
from equipoise.evaluation.external.mask_file import is_mask, read_mask

AFFINES = [np.diag([1.0, 2.0, 3.0, 1.0]), np.diag([-1.0, -2.0, 3.0, 1.0]),
           np.array([[0, 0, -3.0, 5], [1.0, 0, 0, 0], [0, -2.0, 0, 9], [0, 0, 0, 1]])]  # fmt: skip


@pytest.fixture
def channels() -> np.ndarray:
    """(channel, i, j, k), overlapping."""
    return (np.random.default_rng(3).random((3, 9, 10, 11)) < 0.3).astype(np.float32)


def saved(array: np.ndarray, path: Path, affine: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


@pytest.mark.parametrize("affine", AFFINES)
def test_channels_first_are_recognised_whatever_the_orientation(
    channels: np.ndarray, tmp_path: Path, affine: np.ndarray
) -> None:
    found = read_mask(saved(channels, tmp_path / "m.nii.gz", affine))
    assert found.channels == 3
    for index in range(3):
        assert np.array_equal(found.voxels >> index & 1, channels[index].transpose(2, 1, 0))
    assert found.scan.spacing_mm == (3.0, 2.0, 1.0)
    assert "first axis" in found.notes[0]


def test_channels_last_are_nifti_as_it_should_be(channels: np.ndarray, tmp_path: Path) -> None:
    found = read_mask(saved(np.moveaxis(channels, 0, -1), tmp_path / "m.nii", AFFINES[0]))
    assert found.channels == 3
    assert not found.notes
    assert np.array_equal(found.voxels & 1, channels[0].transpose(2, 1, 0))
    assert found.labels() == [0, 1, 2]


def test_labels_may_be_stored_as_floats(tmp_path: Path) -> None:
    labels = np.random.default_rng(4).integers(0, 4, (6, 7, 8)).astype(np.float64)
    found = read_mask(saved(labels, tmp_path / "m.nii.gz", AFFINES[0]))
    assert found.channels == 0
    assert np.array_equal(found.voxels, labels.transpose(2, 1, 0))
    assert found.labels() == [1, 2, 3]


def test_arrays_and_pictures(channels: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", channels)
    np.savez(tmp_path / "m.npz", mask=np.moveaxis(channels, 0, -1))
    first, last = read_mask(tmp_path / "m.npy"), read_mask(tmp_path / "m.npz")
    assert first.channels == last.channels == 3
    assert np.array_equal(first.voxels, last.voxels)
    assert "no spacing" in first.notes[0]
    Image.fromarray(np.array([[0, 1], [2, 0]], dtype=np.uint8)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").voxels.tolist() == [[0, 1], [2, 0]]


def test_what_is_no_mask_is_refused(channels: np.ndarray, tmp_path: Path) -> None:
    def refused(array: np.ndarray, said: str) -> None:
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(EquipoiseError, match=said):
            read_mask(tmp_path / "x.npy")

    refused(np.linspace(0, 1, 27).reshape(3, 3, 3), "no whole label")
    refused(channels * np.random.default_rng(1).random(channels.shape), "more than 0 and one other")
    refused(np.zeros((20, 20, 20, 20)), "20 channels")
    refused(np.zeros(5), "shape")
    np.savez(tmp_path / "two.npz", a=channels, b=channels)
    with pytest.raises(EquipoiseError, match="arrays a, b"):
        read_mask(tmp_path / "two.npz")


def test_names() -> None:
    assert is_mask(Path("a.nii.gz"))
    assert not is_mask(Path(".a.nii.gz"))
    assert not is_mask(Path("a.csv"))
