"""Rows of arrays: axes keep their meaning, and what is shared is never written into."""

import numpy as np
import pytest

from equipoise.cohorts.formats.arrays import ArrayFile
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.array_rows import AXES, axes_of, channel_first, read_row, rows
from equipoise.errors import ProtocolError


@pytest.mark.parametrize("axes", AXES)
def test_every_meaning_gives_channels_first(axes):
    sizes = {"n": 2, "c": 3, "z": 4, "y": 5, "x": 6}
    array = np.random.default_rng(0).normal(size=[sizes[axis] for axis in axes])
    row = channel_first(array[1], axes)
    wanted = "c" + axes.replace("n", "").replace("c", "")
    expected = np.einsum(f"{axes[1:]}->{wanted.replace('c', '' if 'c' not in axes else 'c')}", array[1])
    assert np.array_equal(row if "c" in axes else row[0], expected)
    assert row.ndim == AXES[axes] + 1
    assert row.flags.c_contiguous


def test_shapes_that_leave_doubt_are_asked_about():
    assert axes_of(np.zeros((2, 5, 6)), None, "x") == "nyx"
    assert axes_of(np.zeros((2, 5, 6, 3)), None, "x") == "nyxc"
    for shape, axes in (((2, 5, 6, 7), None), ((2, 5, 6), "nzyx"), ((2, 5, 6), "yxn"), ((2, 5), None)):
        with pytest.raises(ProtocolError, match="set axes to one of"):
            axes_of(np.zeros(shape), axes, "x")


def test_rows_are_shared_read_only_and_images_are_copies(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.ones((2, 3, 3), np.int16), m=np.array([[[0, 7, 0]] * 3] * 2))
    digest = ArrayFile(path).sha256
    assert not rows(path, "x").flags.writeable
    image = read_row(path, digest, "x", 1, "nyx", (1.0, 1.0), "m", ((0, 0), (7, 1)), 0.5)
    image.array[:] = 9
    assert (rows(path, "x") == 1).all()
    assert image.mask.tolist() == [[0, 1, 0]] * 3
    with pytest.raises(RefusedFile, match="the label 7, the cohort knows 0"):
        read_row(path, digest, "x", 1, "nyx", (1.0, 1.0), "m", ((0, 0),))
    np.savez(path, x=np.zeros((2, 3, 3), np.int16), m=np.zeros((2, 3, 3), int))
    with pytest.raises(RefusedFile, match="changed since"):
        read_row(path, digest, "x", 1, "nyx", (1.0, 1.0))
    assert (rows(path, "x") == 0).all()
