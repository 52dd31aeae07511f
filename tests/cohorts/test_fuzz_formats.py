"""Damaged files of every further format, as in `test_fuzz_readers`: no hang, no crash, no wrong voxel.

What is read from a damaged file is what an independent reader gets from the same bytes, where it reads them too; a file
with a checksum (a gzip or zlib stream, PNG) gives the original voxels or is refused.
"""

import hashlib
import importlib.util
import io
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from equipoise.cohorts.formats.dicom import read_dicom_series
from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.metaimage import read_metaimage
from equipoise.cohorts.formats.mgh import read_mgh
from equipoise.cohorts.formats.nifti import read_pair
from equipoise.cohorts.formats.nrrd import read_nrrd
from equipoise.cohorts.formats.pictures import read_picture
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.sandbox import Sandbox

spec = importlib.util.spec_from_file_location("fuzz_readers", Path(__file__).with_name("test_fuzz_readers.py"))
fuzz_readers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz_readers)
LIMITS, DAMAGES, read_or_refuse = fuzz_readers.LIMITS, fuzz_readers.DAMAGES, fuzz_readers.read_or_refuse
VALUES = np.random.default_rng(0).integers(0, 200, (5, 6, 7))


def bytes_of(folder, name, save):
    save(folder / name)
    return (folder / name).read_bytes()


def itk(values, packed):
    return lambda path: sitk.WriteImage(sitk.GetImageFromArray(values), str(path), packed)


def mgh(values):
    return lambda path: nib.save(nib.MGHImage(values, np.diag([-1.0, 1.5, 2.0, 1.0])), path)


def pair(values):
    return lambda path: nib.save(nib.Nifti1Pair(values, np.diag([-1.0, 1.5, 2.0, 1.0])), path)


def tiff(values, **settings):
    return lambda path: tifffile.imwrite(path, values, **settings)


def picture(values, **settings):
    return lambda path: Image.fromarray(values).save(path, **settings)


def seeds(folder, kind):
    """(bytes, whether a checksum guards the voxels) of some sound files of that kind."""
    flat, colour = VALUES[0].astype(np.uint8), np.stack([VALUES[0]] * 3, -1)
    short, single = VALUES.astype(np.int16), VALUES.astype(np.float32)
    saves = {
        "nrrd": [(itk(short, False), False), (itk(single, True), True), (itk(VALUES.astype(np.uint8), False), False)],
        "mha": [(itk(short, False), False), (itk(single, True), True), (itk(VALUES.astype(np.uint8), False), False)],
        "mgh": [(mgh(short), False), (mgh(single), False)],
        "mgz": [(mgh(short), True)],
        "hdr": [(pair(short), False), (pair(single), False)],
        "bmp": [(picture(flat), False), (picture(colour.astype(np.uint8)), False), (picture(flat > 99), False)],
        "tif": [
            (tiff(colour.astype(np.uint16), photometric="rgb"), False),
            (tiff(VALUES.astype(np.uint8), imagej=True, metadata={"axes": "ZYX"}), False),
            (tiff(VALUES.astype(np.uint16), photometric="minisblack", compression="zlib"), False),
            (picture(flat, compression="tiff_lzw"), False),
        ],
    }[kind]
    return [(bytes_of(folder, f"seed{index}.{kind}", save), guarded) for index, (save, guarded) in enumerate(saves)]


READERS = {"nrrd": read_nrrd, "mha": read_metaimage, "mgh": read_mgh, "mgz": read_mgh}


def read_named(path):
    """A pair, of which either half may be named in a refusal."""
    try:
        return read_pair(path, limits=LIMITS, nonfinite="zero")
    except RefusedFile as refusal:
        assert refusal.file in (str(path), str(path.with_suffix(".img")))  # noqa: PT017
        raise RefusedFile(path, refusal.reason, refusal.remedy) from refusal


def reader_of(kind, sandbox):
    if kind == "hdr":
        return read_named
    if kind in READERS:
        return lambda path: READERS[kind](path, limits=LIMITS, nonfinite="zero")
    return lambda path: read_picture(path, limits=LIMITS, sandbox=sandbox)


def by_another(path, kind):
    """The values that an independent reader gets, sorted; None where it reads nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if kind in ("nrrd", "mha"):
                values = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
            elif kind == "tif":
                values = tifffile.imread(path)
            elif kind == "bmp":
                picture = Image.open(path)
                values = np.asarray(picture.convert("RGB") if picture.mode == "P" else picture)
            else:
                values = np.asarray(nib.load(path).dataobj)
        except Exception:  # the other reader refuses it: nothing to compare with
            return None
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return np.sort(values.astype(np.float64).ravel())


def fuzz(folder, kind, count, seed=11):
    rng, tally = np.random.default_rng(seed), {"read": 0, "refused": 0, "compared": 0}
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    originals = seeds(folder, kind)
    path = folder / f"f.{kind}"
    with Sandbox(LIMITS) as sandbox:
        for index in range(count):
            original, guarded = originals[index % len(originals)]
            damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
            raw = damage(original, rng)
            path.write_bytes(raw)
            if kind == "hdr":
                path.with_suffix(".img").write_bytes((folder / f"seed{index % len(originals)}.img").read_bytes())
            scan, seconds = read_or_refuse(reader_of(kind, sandbox), path)
            assert seconds < 3, (index, damage.__name__)
            tally["refused" if scan is None else "read"] += 1
            if scan is not None:
                assert scan.sha256[str(path)] == hashlib.sha256(raw).hexdigest()
                tally["compared"] += same(scan, path, kind, folder, original if guarded else None)
    return tally


def same(scan, path, kind, folder, original):
    """Whether there was something to compare with; fails where it differs."""
    if original is not None:
        (folder / f"whole.{kind}").write_bytes(original)
        truth = by_another(folder / f"whole.{kind}", kind)
        own = np.sort(scan.array.astype(np.float64).ravel())
        # the text in front has no checksum: other sizes or types are other, stated images of the very same bytes
        assert scan.array.nbytes != len(truth) * 4 or scan.array.dtype != np.float32 or np.array_equal(own, truth)
        return True
    truth = by_another(path, kind)
    if truth is None:
        return False
    own = scan.array.astype(np.float64).ravel()
    truth = np.where(np.isfinite(truth), truth, 0)
    if kind in ("bmp", "tif") and any("white" in remark for remark in scan.remarks):
        return False
    if kind == "tif" and len(truth) != len(own):  # the other reader shows palettes as indices, and alpha
        return False
    assert len(own) == len(truth), path.read_bytes()[:200]
    assert np.allclose(np.sort(own), np.sort(truth), rtol=1e-6), path.read_bytes()[:200]
    return True


KINDS = ("nrrd", "mha", "mgh", "mgz", "hdr", "bmp", "tif")


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_damaged(tmp_path, kind):
    tally = fuzz(tmp_path, kind, 120)
    assert tally["refused"] > 20
    assert tally["read"] > 5 or kind == "mgz"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_thousand_damaged(tmp_path, kind):
    tally = fuzz(tmp_path, kind, 2000, seed=12)
    assert tally["read"] + tally["refused"] == 2000


@pytest.mark.long
def test_a_bomb_in_a_deflated_tiff_is_refused(tmp_path):
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((4000, 4000), np.uint8), compression="zlib", rowsperstrip=4000)
    (tmp_path / "a.tif").write_bytes(stream.getvalue())
    with pytest.raises(RefusedFile, match="beyond the limits"):
        read_picture(tmp_path / "a.tif", limits=Limits(array_bytes=1 << 20))


def fuzz_bare_dicom(folder, count, seed=13):
    """DICOM that begins with its first element: pydicom, forced, is the oracle."""
    rng, tally = np.random.default_rng(seed), {"read": 0, "refused": 0}
    originals = [raw[132:] for raw in fuzz_readers.dicom_seeds()[:3]]
    path = folder / "f.dcm"
    with Sandbox(LIMITS) as sandbox:
        for index in range(count):
            raw = DAMAGES[int(rng.integers(len(DAMAGES)))](originals[index % len(originals)], rng)
            path.write_bytes(raw)
            scan, seconds = read_or_refuse(lambda p: read_dicom_series([p], limits=LIMITS, sandbox=sandbox), path)
            assert seconds < 5
            tally["refused" if scan is None else "read"] += 1
            if scan is not None and raw[128:132] != b"DICM":
                same_as_forced(scan, raw)
    return tally


def same_as_forced(scan, raw):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(io.BytesIO(raw), force=True)
        if "TransferSyntaxUID" not in data.file_meta or data.PhotometricInterpretation == "MONOCHROME1":
            return
        truth = pydicom.pixels.apply_modality_lut(data.pixel_array, data).astype(scan.array.dtype)
    assert np.array_equal(np.sort(scan.array.ravel()), np.sort(truth.ravel()))


@pytest.mark.long
def test_damaged_dicom_without_a_preamble(tmp_path):
    tally = fuzz_bare_dicom(tmp_path, 80)
    assert tally["refused"] > 10
    assert tally["read"] > 5


@pytest.mark.slow
def test_two_thousand_damaged_dicom_without_a_preamble(tmp_path):
    assert fuzz_bare_dicom(tmp_path, 2000, seed=14)["read"] > 50
