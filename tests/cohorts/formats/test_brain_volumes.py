"""FreeSurfer's volumes and .hdr/.img pairs agree with nibabel; which of a NIfTI header's forms is used, and said."""

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from equipoise.cohorts.formats.nifti import read_nifti
from equipoise.cohorts.formats.reading import read_any
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.image_names import image_files

RNG = np.random.default_rng(0)
TILTED = np.array([[-0.9, 0.1, 0.0, 11.0], [0.1, 0.0, 2.0, -3.0], [0.0, -1.1, 0.2, 7.0], [0, 0, 0, 1]])


def canonical_by_nibabel(path):
    image = nib.MGHImage.from_bytes(path.read_bytes()) if path.suffix == ".mgh" else nib.load(path)
    image = nib.as_closest_canonical(image)
    return np.asarray(image.dataobj).T, image.affine


def agree(path):
    scan, (values, affine) = read_any(path), canonical_by_nibabel(path)
    assert np.array_equal(scan.array if values.ndim == 4 else scan.array[0], values)
    assert np.allclose(scan.affine, affine, atol=1e-4)
    return scan


@pytest.mark.parametrize("name", ["a.mgz", "a.mgh"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("frames", [1, 3])
def test_freesurfer_agrees_with_nibabel(tmp_path, name, dtype, frames):
    data = RNG.integers(0, 99, (4, 5, 6, frames)).astype(dtype)
    nib.save(nib.MGHImage(data if frames > 1 else data[..., 0], TILTED), tmp_path / name)
    assert agree(tmp_path / name).array.dtype == dtype


def test_freesurfer_without_a_stated_orientation_is_remarked(tmp_path):
    nib.save(nib.MGHImage(RNG.integers(0, 9, (4, 5, 6)).astype(np.int16), TILTED), tmp_path / "a.mgh")
    raw = bytearray((tmp_path / "a.mgh").read_bytes())
    raw[28:30] = b"\0\0"
    (tmp_path / "a.mgh").write_bytes(raw)
    scan = agree(tmp_path / "a.mgh")
    assert "coronal" in scan.remarks[0]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda raw: raw[:200], "does not begin with an MGH header"),
        (lambda raw: b"\0\0\0\2" + raw[4:], "does not begin with an MGH header"),
        (lambda raw: raw[:300], "bytes of voxels"),
        (lambda raw: raw[:4] + struct.pack(">i", -4) + raw[8:], "claims the dimensions"),
        (lambda raw: raw[:4] + struct.pack(">i", 30000) + raw[8:], "bytes of voxels"),
        (lambda raw: raw[:20] + struct.pack(">i", 2) + raw[24:], "unknown data type 2"),
        (lambda raw: raw[:30] + struct.pack(">f", 0) + raw[34:], "its voxels measure"),
    ],
)
def test_damaged_freesurfer_volumes_are_refused(tmp_path, damage, reason):
    nib.save(nib.MGHImage(np.zeros((4, 5, 6), np.int16), np.eye(4)), tmp_path / "a.mgh")
    (tmp_path / "b.mgh").write_bytes(damage((tmp_path / "a.mgh").read_bytes()))
    with pytest.raises(RefusedFile, match=reason):
        read_any(tmp_path / "b.mgh")


@pytest.mark.parametrize("cls", [nib.Nifti1Pair, nib.Nifti2Pair, nib.Spm99AnalyzeImage, nib.AnalyzeImage])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_pairs_agree_with_nibabel(tmp_path, cls, dtype):
    affine = np.diag([-0.8, 1.2, 2.5, 1.0]) if "Analyze" in cls.__name__ else TILTED
    image = cls(RNG.integers(0, 99, (4, 5, 6)).astype(dtype), affine)
    nib.save(image, tmp_path / "a.img")
    (tmp_path / "a.mat").unlink(missing_ok=True)  # SPM's own matrix; refused below
    for name in ("a.img", "a.hdr"):
        scan = agree(tmp_path / name)
        assert {path.rpartition(".")[2] for path in scan.sha256} == {"hdr", "img"}
    analyze = "Analyze" in cls.__name__
    assert ("no left and right" in " ".join(scan.remarks)) == analyze
    assert [path.name for path in image_files(tmp_path)] == ["a.img"]


def test_packed_pairs_scaled_pairs_and_their_missing_halves(tmp_path):
    image = nib.Nifti1Pair(RNG.integers(0, 99, (4, 5, 6)).astype(np.int16), TILTED)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.img")
    truth = agree(tmp_path / "a.img").array
    for half in ("hdr", "img"):
        (tmp_path / f"b.{half}.gz").write_bytes(gzip.compress((tmp_path / f"a.{half}").read_bytes()))
    assert np.array_equal(read_any(tmp_path / "b.img.gz").array, truth)
    (tmp_path / "a.hdr").unlink()
    with pytest.raises(RefusedFile, match=r"its other half 'a\.hdr' is missing"):
        read_any(tmp_path / "a.img")


def test_an_analyze_pair_with_a_matrix_beside_it_is_refused(tmp_path):
    nib.save(nib.Spm99AnalyzeImage(np.zeros((4, 5, 6), np.int16), TILTED), tmp_path / "a.img")
    assert (tmp_path / "a.mat").exists()
    with pytest.raises(RefusedFile, match=r"its orientation lies in 'a\.mat'"):
        read_any(tmp_path / "a.img")


def nifti(path, sform=None, qform=None, pixdim=None):
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), None)
    image.header.set_zooms((0.5, 1.5, 2.0))
    for form, setter in ((sform, image.set_sform), (qform, image.set_qform)):
        setter(form, code=0 if form is None else 1)
    if pixdim:
        image.header["pixdim"][1:4] = pixdim
    raw = bytearray(image.to_bytes())
    path.write_bytes(raw)
    return path


GOOD = np.diag([-0.5, 1.5, 2.0, 1.0])


def damaged_sform(path, rows):
    raw = bytearray(path.read_bytes())
    raw[280:328] = struct.pack("<12f", *np.ravel(rows))
    path.write_bytes(raw)


@pytest.mark.parametrize(
    "rows",
    [np.zeros((3, 4)), np.full((3, 4), np.nan), np.ones((3, 4)), np.diag([1e9, 1, 1])[:, [0, 1, 2, 0]]],
    ids=["zero", "nan", "flat", "absurd"],
)
def test_an_unusable_sform_gives_way_to_the_qform_as_in_itk(tmp_path, rows):
    path = nifti(tmp_path / "a.nii", GOOD, GOOD)
    truth = read_nifti(path)
    damaged_sform(path, rows)
    scan = read_nifti(path)
    assert np.array_equal(scan.array, truth.array)
    assert np.allclose(scan.affine, truth.affine)
    assert "its sform cannot be used" in scan.remarks[0]
    if not np.isnan(rows).any():
        itk = sitk.DICOMOrient(sitk.ReadImage(str(nifti(tmp_path / "q.nii", None, GOOD))), "RAS")
        assert np.array_equal(scan.array[0], sitk.GetArrayFromImage(itk))


def test_an_unusable_qform_is_a_remark_and_two_unusable_forms_a_refusal(tmp_path):
    path = nifti(tmp_path / "a.nii", GOOD, GOOD)
    raw = bytearray(path.read_bytes())
    raw[256:268] = struct.pack("<3f", 1, 1, 1)
    path.write_bytes(raw)
    scan = read_nifti(path)
    assert np.array_equal(scan.array[0], canonical_by_nibabel(nifti(tmp_path / "b.nii", GOOD))[0])
    assert "its qform cannot be used" in scan.remarks[0]
    damaged_sform(path, np.zeros((3, 4)))
    with pytest.raises(RefusedFile, match="its voxels measure 0"):
        read_nifti(path)


def test_without_codes_the_grid_is_nibabels(tmp_path):
    scan = agree(nifti(tmp_path / "a.nii"))
    assert "states no orientation" in scan.remarks[0]
    assert scan.stored_axes == "LAS"


def test_forms_that_contradict_are_remarked(tmp_path):
    other = GOOD.copy()
    other[0, 3] = 40.0
    assert "sform and qform differ" in read_nifti(nifti(tmp_path / "a.nii", GOOD, other)).remarks[0]
    lone = read_nifti(nifti(tmp_path / "b.nii", GOOD, None, (1, 1, 1)))
    assert lone.remarks == ("the sform and pixdim give other voxel sizes; the sform was used",)
    assert lone.spacing_mm == (2.0, 1.5, 0.5)
    assert read_nifti(nifti(tmp_path / "c.nii", GOOD, GOOD)).remarks == ()
