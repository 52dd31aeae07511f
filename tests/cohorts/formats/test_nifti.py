"""NIfTI: every orientation, type and scaling agrees with nibabel and SimpleITK; every lie is refused by name."""

import gzip
import itertools
import struct
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.nifti import read_nifti
from equipoise.cohorts.formats.refusal import RefusedFile

SPACING_XYZ = (0.7, 1.1, 2.5)
ORIENTATIONS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def oriented_affine(order, signs, spacing=SPACING_XYZ):
    affine = np.eye(4)
    affine[:3, :3] = 0
    for voxel_axis, world in enumerate(order):
        affine[world, voxel_axis] = signs[voxel_axis] * spacing[voxel_axis]
    affine[:3, 3] = (-11.0, 7.5, 3.25)
    return affine


def write(path: Path, data, affine=None, code: str = "both", cls=nib.Nifti1Image, slope=None, inter=None):
    image = cls(data, np.eye(4) if affine is None else affine)
    image.set_sform(affine, code=int(code in ("both", "sform")))
    image.set_qform(affine, code=int(code in ("both", "qform")))
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    nib.save(image, path)
    return path


def oracle_nibabel(path):
    canonical = nib.as_closest_canonical(nib.load(path))
    return np.asarray(canonical.dataobj).T, canonical.affine


@pytest.mark.long
@pytest.mark.parametrize("code", ["sform", "qform"])
def test_all_orientations_agree_with_nibabel_and_simpleitk(tmp_path, code):
    data = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    assert len(ORIENTATIONS) == 48
    for order, signs in ORIENTATIONS:
        path = write(tmp_path / "v.nii", data, oriented_affine(order, signs), code)
        scan = read_nifti(path)
        values, affine = oracle_nibabel(path)
        assert np.array_equal(scan.array[0], values)
        assert np.allclose(scan.affine, affine, atol=1e-5)
        assert scan.stored_axes == "".join(nib.aff2axcodes(nib.load(path).affine))
        itk = sitk.DICOMOrient(sitk.ReadImage(str(path)), "RAS")
        assert np.array_equal(scan.array[0], sitk.GetArrayFromImage(itk))
        assert scan.spacing_mm == pytest.approx(itk.GetSpacing()[::-1], abs=1e-5)
        assert scan.affine[:3, 3] == pytest.approx(np.array(itk.GetOrigin()) * (-1, -1, 1), abs=1e-5)


def test_oblique_grid_is_turned_to_the_nearest_axes(tmp_path):
    angle = np.radians(25)
    turn = np.eye(4)
    turn[:3, :3] = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    affine = turn @ oriented_affine((2, 0, 1), (1, -1, -1))
    path = write(tmp_path / "o.nii.gz", np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32), affine)
    scan = read_nifti(path)
    values, expected = oracle_nibabel(path)
    assert np.array_equal(scan.array[0], values)
    assert np.allclose(scan.affine, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("cls", [nib.Nifti1Image, nib.Nifti2Image])
def test_every_type_and_byte_order_is_exact(tmp_path, dtype, order, cls):
    kind = np.dtype(order + dtype)
    low, high = (-1e6, 1e6) if kind.kind == "f" else (np.iinfo(kind).min // 3, np.iinfo(kind).max // 3)
    data = np.random.default_rng(1).uniform(low, high, (3, 4, 5)).astype(kind)
    header = cls.header_class(endianness=order)
    image = cls(data, np.eye(4), header, dtype=kind)
    nib.save(image, tmp_path / "t.nii")
    scan = read_nifti(tmp_path / "t.nii")
    assert scan.array.dtype == kind.newbyteorder("=")
    assert np.array_equal(scan.array[0], data.T)
    assert scan.array.flags.writeable
    assert scan.array.flags.c_contiguous


@pytest.mark.parametrize(("slope", "inter"), [(2.0, -1024.0), (0.25, 3.0), (1.0, -1024.0), (-1.5, 0.0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_scaling_agrees_with_nibabel(tmp_path, slope, inter, dtype):
    raw = np.random.default_rng(2).integers(0, 100, (3, 4, 5)).astype(dtype)
    path = write(tmp_path / "s.nii", raw, np.eye(4))
    header = bytearray(path.read_bytes())
    header[112:120] = struct.pack("<ff", slope, inter)
    path.write_bytes(header)
    scan = read_nifti(path)
    assert np.array_equal(scan.array[0], nib.load(path).get_fdata().T.astype(scan.array.dtype))
    assert scan.array.dtype == (np.float64 if dtype is np.int32 else np.float32)


def test_zero_and_nan_slopes_mean_unscaled(tmp_path):
    for slope in (0.0, float("nan")):
        path = write(tmp_path / "z.nii", np.full((2, 2, 2), 7, np.int16), np.eye(4))
        header = bytearray(path.read_bytes())
        header[112:120] = struct.pack("<ff", slope, 5.0)
        path.write_bytes(header)
        assert (read_nifti(path).array == 7).all()


def test_fourth_and_fifth_axes_are_channels(tmp_path):
    data = np.random.default_rng(3).integers(0, 9, (4, 5, 6, 3)).astype(np.int16)
    scan = read_nifti(write(tmp_path / "c.nii.gz", data, np.diag([-1.0, 1, 1, 1])))
    assert scan.array.shape == (3, 6, 5, 4)
    assert np.array_equal(scan.array, data[::-1].transpose(3, 2, 1, 0))
    vector = read_nifti(write(tmp_path / "v.nii.gz", data[..., None, :], np.eye(4)))
    assert np.array_equal(vector.array, data.transpose(3, 2, 1, 0))
    itk = sitk.GetImageFromArray(data.transpose(2, 1, 0, 3), isVector=True)
    sitk.WriteImage(itk, str(tmp_path / "itk.nii.gz"))
    assert np.array_equal(read_nifti(tmp_path / "itk.nii.gz").array[:, :, ::-1, ::-1], vector.array)


def test_two_dimensions_become_one_slice(tmp_path):
    data = np.arange(12, dtype=np.uint8).reshape(4, 3)
    scan = read_nifti(write(tmp_path / "p.nii", data, np.eye(4)))
    assert np.array_equal(scan.array, data.T[None, None])


def test_units_are_millimetres_and_a_missing_orientation_is_remarked(tmp_path):
    path = write(tmp_path / "u.nii", np.zeros((2, 2, 2), np.uint8), np.diag([0.5, 0.5, 2, 1]))
    raw = bytearray(path.read_bytes())
    raw[123] = 3
    path.write_bytes(raw)
    scan = read_nifti(path)
    assert scan.spacing_mm == (0.002, 0.0005, 0.0005)
    assert scan.remarks == ("lengths were in micrometres",)
    bare = write(tmp_path / "b.nii", np.zeros((2, 3, 4), np.uint8), np.diag([0.5, 0.6, 2, 1]), code="none")
    scan = read_nifti(bare)
    assert scan.spacing_mm == (2.0, 0.6, 0.5)
    assert "no orientation" in scan.remarks[0]


def test_sform_wins_and_a_differing_qform_is_remarked(tmp_path):
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([1.0, 1, 1, 1]))
    image.set_sform(np.diag([2.0, 2, 2, 1]), code=1)
    image.set_qform(np.eye(4), code=1)
    nib.save(image, tmp_path / "q.nii")
    scan = read_nifti(tmp_path / "q.nii")
    assert scan.spacing_mm == (2.0, 2.0, 2.0)
    assert scan.remarks == ("sform and qform differ; the sform was used",)


def test_nan_is_refused_unless_zero_is_asked_for(tmp_path):
    data = np.ones((2, 2, 2), np.float32)
    data[0, 0, 0], data[1, 1, 1] = np.nan, np.inf
    path = write(tmp_path / "n.nii.gz", data, np.eye(4))
    with pytest.raises(RefusedFile, match="2 of its voxels are NaN or infinite"):
        read_nifti(path)
    scan = read_nifti(path, nonfinite="zero")
    assert scan.array.sum() == 6
    assert scan.remarks == ("2 voxels that were NaN or infinite were read as 0",)


def test_pigz_and_bgzip_members_and_zero_padding_read(tmp_path):
    data = np.random.default_rng(4).integers(0, 99, (20, 20, 20)).astype(np.int16)
    raw = write(tmp_path / "m.nii", data, np.eye(4)).read_bytes()
    parts = b"".join(gzip.compress(raw[i : i + 4096]) for i in range(0, len(raw), 4096)) + gzip.compress(b"")
    (tmp_path / "m.nii.gz").write_bytes(parts + bytes(512))
    assert np.array_equal(read_nifti(tmp_path / "m.nii.gz").array[0], data.T)


def patched(raw: bytes, offset: int, form: str, *values) -> bytes:
    out = bytearray(raw)
    struct.pack_into(form, out, offset, *values)
    return bytes(out)


def lone_sform(raw: bytes) -> bytes:
    return patched(raw, 252, "<h", 0)


LIES = {
    "short": (lambda raw: raw[:300], "shorter than a NIfTI header"),
    "no header": (lambda raw: b"hello" + raw, "does not begin with a NIfTI header"),
    "magic": (lambda raw: patched(raw, 344, "4s", b"nope"), "magic bytes are wrong"),
    "pair": (lambda raw: patched(raw, 344, "4s", b"ni1\0"), "half of a .hdr/.img pair"),
    "analyze": (lambda raw: patched(raw, 344, "4s", b"\0\0\0\0"), "Analyze file"),
    "dim 0": (lambda raw: patched(raw, 40, "<h", 9), "claims the dimensions"),
    "negative": (lambda raw: patched(raw, 42, "<h", -4), "claims the dimensions"),
    "six axes": (lambda raw: patched(raw, 40, "<8h", 6, 2, 2, 2, 2, 2, 2, 1), "more than three axes"),
    "larger": (lambda raw: patched(raw, 42, "<h", 32000), "bytes of voxels and"),
    "smaller": (lambda raw: patched(raw, 42, "<h", 3), "bytes of voxels and"),
    "enormous": (lambda raw: patched(raw, 42, "<3h", 32000, 32000, 32000), "the limit is"),
    "truncated": (lambda raw: raw[:-1], "bytes of voxels and"),
    "longer": (lambda raw: raw + b"\0", "bytes of voxels and"),
    "type": (lambda raw: patched(raw, 70, "<h", 7), "unknown data type 7"),
    "rgb": (lambda raw: patched(raw, 70, "<h", 128), "its voxels are RGB"),
    "bits": (lambda raw: patched(raw, 72, "<h", 32), "32 bits per voxel of type int16"),
    "offset": (lambda raw: patched(raw, 108, "<f", 12.0), "puts the first voxel at byte 12"),
    "offset nan": (lambda raw: patched(raw, 108, "<f", float("nan")), "puts the first voxel at byte nan"),
    "offset beyond": (lambda raw: patched(raw, 108, "<f", 1e6), "bytes of voxels and 0 are there"),
    "inter": (lambda raw: patched(raw, 112, "<2f", 2.0, float("inf")), "intercept inf"),
    "unit": (lambda raw: patched(raw, 123, "B", 5), "unknown unit"),
    "flat": (
        lambda raw: patched(lone_sform(raw), 280, "<12f", 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1.0001, 0),
        "orientation matrix is singular",
    ),
    "nan affine": (lambda raw: patched(lone_sform(raw), 280, "<f", float("nan")), "not numbers"),
    "absurd spacing": (lambda raw: patched(lone_sform(raw), 280, "<f", 1e5), "its voxels measure"),
    "absurd offset": (lambda raw: patched(lone_sform(raw), 292, "<f", 1e30), r"the length 1e\+30 mm"),
    "code": (lambda raw: patched(raw, 254, "<h", 129), r"unknown coordinate codes \(129, 1\)"),
    "quaternion": (lambda raw: patched(patched(raw, 254, "<h", 0), 256, "<3f", 1, 1, 1), "no rotation"),
    "empty": (lambda raw: b"", "it is empty"),
}


@pytest.mark.parametrize("name", LIES)
def test_each_lie_is_refused_with_its_sentence(tmp_path, name):
    change, reason = LIES[name]
    raw = write(tmp_path / "a.nii", np.arange(64, dtype=np.int16).reshape(4, 4, 4), np.eye(4)).read_bytes()
    bad = tmp_path / "bad.nii"
    bad.write_bytes(change(raw))
    with pytest.raises(RefusedFile, match=reason) as caught:
        read_nifti(bad)
    assert str(bad) in str(caught.value)
    assert str(caught.value).endswith(".")
    assert caught.value.problem("c1").remedy


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(RefusedFile, match="cannot be opened"):
        read_nifti(tmp_path / "none.nii")
    with pytest.raises(RefusedFile, match="not a regular file"):
        read_nifti(tmp_path)
    with pytest.raises(RefusedFile, match="cannot be opened"):
        read_nifti(str(tmp_path) + "\0.nii")


@pytest.mark.long
def test_every_flipped_bit_of_a_gz_is_refused_or_changes_nothing(tmp_path):
    data = np.random.default_rng(5).integers(0, 4, (6, 6, 6)).astype(np.uint8)
    path = write(tmp_path / "g.nii.gz", data, np.eye(4))
    good, truth = path.read_bytes(), read_nifti(path)
    unchanged = 0
    for position in range(0, 8 * len(good), 3):
        bad = bytearray(good)
        bad[position // 8] ^= 1 << position % 8
        path.write_bytes(bad)
        try:
            scan = read_nifti(path)
        except RefusedFile:
            continue
        unchanged += 1
        assert np.array_equal(scan.array, truth.array)
        assert np.array_equal(scan.affine, truth.affine)
    assert unchanged < 80  # only the gzip header's time, name and system carry no checksum


@pytest.mark.long
def test_bombs_and_impossible_claims_allocate_nothing(tmp_path):
    raw = write(tmp_path / "a.nii", np.zeros((4, 4, 4), np.int16), np.eye(4)).read_bytes()
    bomb = tmp_path / "bomb.nii.gz"
    bomb.write_bytes(gzip.compress(raw + bytes(50_000_000)))
    with pytest.raises(RefusedFile, match="holds more than"):
        read_nifti(bomb)
    huge = tmp_path / "huge.nii.gz"
    huge.write_bytes(gzip.compress(patched(raw, 42, "<3h", 1000, 1000, 1000)))
    with pytest.raises(RefusedFile, match="more than .* compressed bytes can hold"):
        read_nifti(huge)
    with pytest.raises(RefusedFile, match="the limit is 100"):
        read_nifti(tmp_path / "a.nii", limits=Limits(array_bytes=100))
    with pytest.raises(RefusedFile, match=r"raise EQUIPOISE_LIMIT_FILE_BYTES"):
        read_nifti(tmp_path / "a.nii", limits=Limits(file_bytes=100))


@pytest.mark.long
def test_the_real_files_agree_with_nibabel_and_simpleitk(shared_data):
    files = sorted(shared_data.glob("brats/*/*.nii.gz"))
    assert len(files) == 10
    for path in files[::3]:
        scan = read_nifti(path)
        values, affine = oracle_nibabel(path)
        assert np.array_equal(scan.array[0], values)
        assert np.allclose(scan.affine, affine)
        itk = sitk.DICOMOrient(sitk.ReadImage(str(path)), "RAS")
        assert np.array_equal(scan.array[0], sitk.GetArrayFromImage(itk))
        assert scan.spacing_mm == itk.GetSpacing()[::-1]


@pytest.mark.long
def test_nibabel_is_imported_only_when_a_file_is_read():
    code = "import sys, equipoise.cohorts.formats.nifti; assert 'nibabel' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
