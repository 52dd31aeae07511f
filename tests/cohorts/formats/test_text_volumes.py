"""NRRD and MetaImage: every orientation, type and packing agrees with SimpleITK; every lie is refused by name."""

import gzip
import itertools
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.reading import read_any
from equipoise.cohorts.formats.refusal import RefusedFile

RNG = np.random.default_rng(0)
KINDS = ("v.nrrd", "v.nhdr", "v.mha", "v.mhd")
ORIENTATIONS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def itk_image(values, order=(0, 1, 2), signs=(1, 1, 1), spacing=(0.7, 1.1, 2.5), turn=0.0):
    image = sitk.GetImageFromArray(values)
    direction = np.zeros((3, 3))
    direction[list(order), range(3)] = signs
    c, s = np.cos(turn), np.sin(turn)
    image.SetDirection((np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ direction).ravel().tolist())
    image.SetSpacing(spacing)
    image.SetOrigin((-11.0, 7.5, 3.25))
    return image


def agree(path, image):
    scan = read_any(path)
    oracle = sitk.DICOMOrient(image, "RAS")
    assert np.array_equal(scan.array[0], sitk.GetArrayFromImage(oracle))
    assert scan.spacing_mm == pytest.approx(oracle.GetSpacing()[::-1], abs=1e-5)
    assert scan.affine[:3, 3] == pytest.approx(np.array(oracle.GetOrigin()) * (-1, -1, 1), abs=1e-4)
    assert scan.array.flags.c_contiguous
    return scan


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_all_orientations_agree_with_simpleitk(tmp_path, name):
    for order, signs in ORIENTATIONS:
        image = itk_image(RNG.integers(-99, 99, (6, 5, 4)).astype(np.int16), order, signs, turn=0.2)
        sitk.WriteImage(image, str(tmp_path / name))
        scan = agree(tmp_path / name, image)
    assert len(scan.sha256) == (2 if name in ("v.nhdr", "v.mhd") else 1)
    assert scan.remarks == ()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_every_type_and_packing_is_exact(tmp_path, name, packed, dtype):
    image = itk_image(RNG.integers(0, 120, (3, 4, 5)).astype(dtype))
    sitk.WriteImage(image, str(tmp_path / name), packed)
    assert agree(tmp_path / name, image).array.dtype == np.dtype(dtype)


@pytest.mark.parametrize("name", ["v.nrrd", "v.mha"])
def test_channels_and_flat_pictures(tmp_path, name):
    values = RNG.integers(0, 99, (3, 4, 5, 2)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(values, isVector=True), str(tmp_path / name))
    scan = read_any(tmp_path / name)
    assert scan.array.shape == (2, 3, 4, 5)
    assert np.array_equal(scan.array[:, :, ::-1, ::-1], values.transpose(3, 0, 1, 2))
    flat = sitk.GetImageFromArray(values[0, ..., 0])
    flat.SetSpacing((0.5, 2.0))
    sitk.WriteImage(flat, str(tmp_path / name))
    scan = read_any(tmp_path / name)
    assert np.array_equal(scan.array, values[:1, ..., 0])
    assert scan.spacing_mm == (2.0, 0.5)
    assert scan.affine is None


def test_a_fourth_axis_of_a_metaimage_is_the_channel(tmp_path):
    values = RNG.integers(0, 99, (2, 3, 4, 5)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(values, isVector=False), str(tmp_path / "v.mha"))
    assert np.array_equal(read_any(tmp_path / "v.mha").array[:, :, ::-1, ::-1], values)


def nrrd(values, *lines, encoding="raw", space="right-anterior-superior", **changes):
    """A file by hand: values (z, y, x) or with more axes, little-endian."""
    fields = {
        "type": {"uint8": "uchar", "int16": "short"}[values.dtype.name],
        "dimension": str(values.ndim),
        "space": space,
        "sizes": " ".join(map(str, values.shape[::-1])),
        "space directions": "(1,0,0) (0,1,0) (0,0,2)",
        "endian": "little",
        "encoding": encoding,
    } | {key.replace("_", " "): value for key, value in changes.items()}
    text = "\n".join(["NRRD0005", *(f"{k}: {v}" for k, v in fields.items() if v is not None), *lines, "", ""])
    body = values.tobytes()
    return text.encode() + (gzip.compress(body) if encoding == "gzip" else body)


SMALL = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("space", "flip"),
    [("right-anterior-superior", ()), ("RAS", ()), ("left-anterior-superior", (2,)), ("LPS", (1, 2))],
)
def test_every_space_of_nrrd_is_turned_to_ras(tmp_path, space, flip):
    (tmp_path / "s.nrrd").write_bytes(nrrd(SMALL, space=space))
    scan = read_any(tmp_path / "s.nrrd")
    assert np.array_equal(scan.array[0], np.flip(SMALL, flip))
    assert scan.spacing_mm == (2.0, 1.0, 1.0)


def test_a_nrrd_of_slicer_with_segments_comments_and_a_list_axis(tmp_path):
    layers = np.stack([SMALL % 2, SMALL % 3], axis=-1).astype(np.uint8)
    raw = nrrd(
        layers, "# a comment", "Segment0_ID:=Segment_1", "Segmentation_MasterRepresentation:=Binary labelmap",
        encoding="gzip", space="left-posterior-superior", kinds="list domain domain domain",
        space_directions="none (1,0,0) (0,1,0) (0,0,2)", space_origin="(1,2,3)",
    )  # fmt: skip
    (tmp_path / "a.seg.nrrd").write_bytes(raw)
    scan = read_any(tmp_path / "a.seg.nrrd")
    assert np.array_equal(scan.array[:, :, ::-1, ::-1], layers.transpose(3, 0, 1, 2))
    oracle = sitk.ReadImage(str(tmp_path / "a.seg.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(oracle), layers)


def test_spacings_without_directions_are_read_with_a_remark(tmp_path):
    (tmp_path / "s.nrrd").write_bytes(nrrd(SMALL, space=None, space_directions=None, spacings="0.5 0.5 3"))
    scan = read_any(tmp_path / "s.nrrd")
    assert scan.spacing_mm == (3.0, 0.5, 0.5)
    assert "no anatomical space" in scan.remarks[0]
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "s.nrrd"))), SMALL)


BIG_ENDIAN = SMALL.astype(">i2")


def test_byte_orders_and_voxels_that_look_like_gzip(tmp_path):
    fields = nrrd(SMALL, endian="big").removesuffix(SMALL.tobytes())
    (tmp_path / "b.nrrd").write_bytes(fields + BIG_ENDIAN.tobytes())
    assert np.array_equal(read_any(tmp_path / "b.nrrd").array[0], SMALL)
    odd = SMALL.copy()
    odd[0, 0, 0] = 0x8B1F - 0x10000
    (tmp_path / "g.nrrd").write_bytes(nrrd(odd))
    assert np.array_equal(read_any(tmp_path / "g.nrrd").array[0], odd)


NRRD_LIES = {
    "magic": (lambda raw: raw[1:], "does not begin like an NRRD"),
    "cut": (lambda raw: raw[:-1], "bytes of voxels and 47 are there"),
    "longer": (lambda raw: raw + b"\0", "bytes of voxels and 49 are there"),
    "larger": (lambda raw: raw.replace(b"sizes: 4 3 2", b"sizes: 9999 9999 9999"), "the limit is"),
    "zero": (lambda raw: raw.replace(b"sizes: 4 3 2", b"sizes: 4 0 2"), "its sizes is"),
    "dimension": (lambda raw: raw.replace(b"dimension: 3", b"dimension: 4"), "3 sizes and the dimension '4'"),
    "type": (lambda raw: raw.replace(b"type: short", b"type: block"), "of the type 'block'"),
    "no endian": (lambda raw: raw.replace(b"endian: little\n", b""), "order of its bytes"),
    "ascii": (lambda raw: raw.replace(b"encoding: raw", b"encoding: ascii"), "encoding is 'ascii'"),
    "not gzip": (lambda raw: raw.replace(b"encoding: raw", b"encoding: gzip"), "not a gzip stream"),
    "skip": (lambda raw: raw.replace(b"endian", b"byte skip: 5\nendian"), "skips a part"),
    "space": (lambda raw: raw.replace(b"right-anterior-superior", b"scanner-xyz"), "its space is 'scanner-xyz'"),
    "nan": (lambda raw: raw.replace(b"(1,0,0)", b"(nan,0,0)"), "not numbers"),
    "flat": (lambda raw: raw.replace(b"(0,1,0)", b"(1,0,0)"), "orientation matrix is singular"),
    "words": (lambda raw: raw.replace(b"(0,1,0)", b"(0,one,0)"), "where 3 numbers belong"),
    "twice": (lambda raw: raw.replace(b"endian", b"sizes: 4 3 2\nendian"), "gives 'sizes' twice"),
    "elsewhere": (lambda raw: raw.replace(b"endian", b"data file: ../../etc/passwd\nendian"), "not beside it"),
    "absolute": (lambda raw: raw.replace(b"endian", b"data file: /etc/passwd\nendian"), "not beside it"),
    "several": (lambda raw: raw.replace(b"endian", b"data file: a%03d.raw 1 9 1\nendian"), "which is missing"),
    "time": (lambda raw: raw.replace(b"endian", b"kinds: domain domain time\nendian"), "is time"),
    "line": (lambda raw: raw.replace(b"endian", b"nonsense\nendian"), "has the line 'nonsense'"),
}


@pytest.mark.parametrize("name", NRRD_LIES)
def test_each_lie_of_a_nrrd_is_refused(tmp_path, name):
    change, reason = NRRD_LIES[name]
    path = tmp_path / "l.nrrd"
    path.write_bytes(change(nrrd(SMALL)))
    with pytest.raises(RefusedFile, match=reason):
        read_any(path)


def mha(values=SMALL, packed=False, **changes):
    body = values.tobytes()
    fields = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(packed), "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "0 0 0",
        "ElementSpacing": "1 1 2", "DimSize": "4 3 2", "ElementType": "MET_SHORT", "ElementDataFile": "LOCAL",
    }  # fmt: skip
    fields = {key: value for key, value in changes.items() if key not in fields} | fields | changes
    text = "".join(f"{key} = {value}\n" for key, value in fields.items())
    return text.encode() + (zlib.compress(body) if packed else body)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (mha()[:-1], "bytes of voxels and 47 are there"),
        (mha() + b"\0", "bytes of voxels and 49 are there"),
        (mha(packed=True)[:-3], "end early"),
        (mha(packed=True).replace(b"DimSize = 4 3 2", b"DimSize = 4 3 1"), "bytes of voxels"),
        (mha(packed=True, DimSize="900 900 900"), "more than .* compressed bytes can hold"),
        (mha(DimSize="90000 90000 90000"), "the limit is"),
        (mha(NDims="2"), "3 sizes and NDims is '2'"),
        (mha(ElementType="MET_OTHER"), "its voxels are 'MET_OTHER'"),
        (mha(ElementDataFile="../x.raw"), "not beside it"),
        (mha(ElementDataFile="LIST"), "several files"),
        (mha(ElementDataFile="s%03d.raw 1 9 1"), "several files"),
        (mha(BinaryData="False"), "written as text"),
        (mha(TransformMatrix="1 0 0 1 0 0 0 0 1"), "orientation matrix is singular"),
        (mha(ElementSpacing="1 1"), "where 3 numbers belong"),
        (mha(ElementSpacing="1 1 0"), "its voxels measure"),
        (mha(HeaderSize="12"), "skips '12' bytes"),
        (mha(ObjectType="Mesh"), "of the type 'Mesh'"),
        (b"hello world\n" + bytes(50), "does not begin like a MetaImage"),
    ],
)
def test_each_lie_of_a_metaimage_is_refused(tmp_path, raw, reason):
    (tmp_path / "l.mha").write_bytes(raw)
    with pytest.raises(RefusedFile, match=reason):
        read_any(
            tmp_path / "l.mha",
        )
    (tmp_path / "good.mha").write_bytes(mha(packed=True))
    assert np.array_equal(read_any(tmp_path / "good.mha").array[0], SMALL[:, ::-1, ::-1])


def test_limits_hold_before_anything_is_allocated(tmp_path):
    from equipoise.cohorts.formats.metaimage import read_metaimage
    from equipoise.cohorts.formats.nrrd import read_nrrd

    (tmp_path / "a.mha").write_bytes(mha())
    (tmp_path / "a.nrrd").write_bytes(nrrd(SMALL))
    for read, name in ((read_metaimage, "a.mha"), (read_nrrd, "a.nrrd")):
        with pytest.raises(RefusedFile, match="the limit is 20"):
            read(tmp_path / name, limits=Limits(array_bytes=20))
