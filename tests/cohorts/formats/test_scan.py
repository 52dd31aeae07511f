"""Canonical orientation: nibabel agrees, voxels keep their place in the world, and turning back is exact."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.cohorts.formats.scan import Scan, axis_codes, canonical, owned


def affines() -> st.SearchStrategy[np.ndarray]:
    def build(order, signs, spacing, offset):
        affine = np.eye(4)
        affine[:3, :3] = 0
        for axis in range(3):
            affine[order[axis], axis] = signs[axis] * spacing[axis]
        affine[:3, 3] = offset
        return affine

    sizes, signs = st.floats(0.1, 5.0), st.sampled_from([-1, 1])
    return st.builds(
        build,
        st.permutations(range(3)),
        st.tuples(signs, signs, signs),
        st.tuples(sizes, sizes, sizes),
        st.tuples(*[st.floats(-100, 100)] * 3),
    )


@pytest.mark.long
@given(affines(), st.integers(0, 1000))
def test_every_voxel_keeps_its_place_and_value(affine, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 5, 3))
    array = rng.normal(size=(2, *shape))
    turned, new, spacing = canonical(array, affine)
    assert np.allclose(new, nib.as_closest_canonical(nib.Nifti1Image(array[0].T, affine)).affine)
    assert np.allclose(spacing, np.abs(np.diag(new)[2::-1]), atol=1e-6)
    for z, y, x in np.ndindex(shape):
        world = affine @ [x, y, z, 1]
        i, j, k = np.rint(np.linalg.inv(new) @ world).astype(int)[:3]
        assert (turned[:, k, j, i] == array[:, z, y, x]).all()


@pytest.mark.long
@given(affines())
def test_letters_agree_with_nibabel(affine):
    assert axis_codes(affine) == "".join(nib.aff2axcodes(affine))


def test_owned_copies_only_what_it_must():
    plain = np.zeros((2, 3))
    assert owned(plain) is plain
    flipped = owned(np.arange(6, dtype=">i2").reshape(2, 3)[:, ::-1])
    assert flipped.dtype == np.int16
    assert flipped.flags.c_contiguous
    assert flipped.flags.writeable
    assert flipped.tolist() == [[2, 1, 0], [5, 4, 3]]


def test_a_scan_becomes_an_image_with_its_mask():
    scan = Scan(np.zeros((1, 2, 3, 4)), (1.0, 2.0, 3.0), np.eye(4), {"a": "0"})
    image = scan.image(np.ones((2, 3, 4), np.uint8))
    assert image.spacing_mm == (1.0, 2.0, 3.0)
    assert image.mask is not None
