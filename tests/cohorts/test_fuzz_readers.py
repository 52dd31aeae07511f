"""Damaged and hostile NIfTI and DICOM files by the thousand: no hang, no crash, no wrong voxel, every refusal typed.

"No silently wrong voxel" means, exactly:
- a .nii.gz damaged after it was written is refused or gives the original voxels and grid (its CRC decides);
- any other file that is read gives the voxels that an independent reader (nibabel, pydicom) gets from the same bytes,
  and the SHA-256 recorded beside them is that of those bytes; files that end within their pixels are refused.
"""

import gzip
import hashlib
import io
import struct
import time
import warnings
import zlib

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from equipoise.cohorts.formats.dicom import read_dicom_series
from equipoise.cohorts.formats.limits import MIB, Limits
from equipoise.cohorts.formats.nifti import read_nifti
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.sandbox import Sandbox

LIMITS = Limits(seconds=10.0, memory_bytes=1536 * MIB, array_bytes=64 * MIB, inflated_bytes=64 * MIB)
EXTREMES = {2: (0, 1, 0x7FFF, 0x8000, 0xFFFF), 4: (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7F800000, 0x7FC00000)}


def flip_bits(raw: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(raw)
    for position in rng.integers(0, 8 * len(raw), rng.integers(1, 9)):
        out[position // 8] ^= 1 << int(position % 8)
    return bytes(out)


def flip_header_bits(raw: bytes, rng: np.random.Generator) -> bytes:
    return flip_bits(raw[:700], rng) + raw[700:]


def truncate(raw: bytes, rng: np.random.Generator) -> bytes:
    return raw[: int(rng.integers(0, len(raw)))]


def absurd_number(raw: bytes, rng: np.random.Generator) -> bytes:
    out, width = bytearray(raw), int(rng.choice([2, 4]))
    position = int(rng.integers(0, min(len(raw), 900) - width))
    out[position : position + width] = int(rng.choice(EXTREMES[width])).to_bytes(
        width, str(rng.choice(["little", "big"]))
    )
    return bytes(out)


def insert_or_delete(raw: bytes, rng: np.random.Generator) -> bytes:
    position, length = int(rng.integers(0, len(raw))), int(rng.integers(1, 40))
    middle = rng.bytes(length) if rng.random() < 0.5 else b""
    return raw[:position] + middle + raw[position + (0 if middle else length) :]


def blank_out(raw: bytes, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(0, len(raw))), int(rng.integers(1, 200))
    return raw[:start] + bytes(len(raw[start : start + length])) + raw[start + length :]


DAMAGES = (flip_bits, flip_header_bits, truncate, absurd_number, insert_or_delete, blank_out)


def nifti_seeds() -> list[bytes]:
    rng, found = np.random.default_rng(0), []
    for cls in (nib.Nifti1Image, nib.Nifti2Image):
        for order, dtype in (("<", np.int16), (">", np.uint8), ("<", np.float32)):
            data = rng.integers(0, 200, (5, 6, 7)).astype(dtype)
            affine = np.diag([-1.0, 1.5, 2.0, 1.0])
            image = cls(data, affine, cls.header_class(endianness=order), dtype=np.dtype(dtype))
            image.set_sform(affine, code=1)
            image.set_qform(affine, code=1)
            found.append(image.to_bytes())
    scaled = bytearray(found[0])
    scaled[112:120] = struct.pack("<ff", 0.5, -3.0)
    return [*found, bytes(scaled)]


def read_or_refuse(read, path):
    """What was read, or None where the file was refused; anything else fails the test.

    Also the seconds of processor time that this process spent, whatever else runs on the machine.
    """
    began = time.process_time()
    try:
        return read(path), time.process_time() - began
    except RefusedFile as refusal:
        sentence = str(refusal)
        assert sentence.startswith(str(path))
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert "took longer" not in sentence, "no damage may keep a reader busy until its limit"
        assert "no answer" not in sentence
        return None, time.process_time() - began


def fuzz_nifti(folder, count: int, seed: int = 7) -> dict[str, int]:
    rng, originals = np.random.default_rng(seed), nifti_seeds()
    tally = {"read": 0, "refused": 0, "compared": 0}
    for index in range(count):
        original = originals[index % len(originals)]
        damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
        if index % 3 == 0:
            kind, raw = "damaged gz", damage(gzip.compress(original, mtime=0), rng)
        elif index % 3 == 1:
            kind, raw = "damaged before gz", gzip.compress(damage(original, rng), mtime=0)
        else:
            kind, raw = "plain", damage(original, rng)
        path = folder / ("f.nii" if kind == "plain" else "f.nii.gz")
        path.write_bytes(raw)
        scan, seconds = read_or_refuse(lambda p: read_nifti(p, limits=LIMITS, nonfinite="zero"), path)
        assert seconds < 2, (index, damage.__name__)
        tally["refused" if scan is None else "read"] += 1
        if scan is not None:
            assert scan.sha256[str(path)] == hashlib.sha256(raw).hexdigest()
            content = original if kind == "damaged gz" else _content(raw)
            tally["compared"] += check_nifti_voxels(scan, content, folder)
    return tally


def _content(raw: bytes) -> bytes:
    return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw


def check_nifti_voxels(scan, content: bytes, folder) -> bool:
    """True where nibabel reads the same bytes too, and then to the same voxels and the same box in the world."""
    (folder / "oracle.nii").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = nib.load(folder / "oracle.nii")
            truth = np.asarray(image.dataobj)
            # nibabel takes the sform even where its voxels are hundreds of metres long; the reader says which it took
            taken = "the qform was used" in " ".join(scan.remarks)
            affine = image.get_qform() if taken else image.affine
        except Exception:  # nibabel is stricter in places (fields we never use); nothing to compare with
            return False
        truth = truth.reshape(*truth.shape[:3], -1) if truth.ndim > 3 else truth
        truth = np.where(np.isfinite(truth.astype(scan.array.dtype)), truth, 0).astype(scan.array.dtype)
        assert np.array_equal(np.sort(scan.array.ravel()), np.sort(truth.ravel()), equal_nan=True)
    units_given = any("lengths were in" in remark for remark in scan.remarks)
    if not units_given and "no orientation" not in " ".join(scan.remarks) and np.linalg.det(affine) != 0:
        corners = np.array([(x, y, z, 1) for z in (0, 1) for y in (0, 1) for x in (0, 1)]).T
        own = scan.affine @ (corners * [[n - 1] for n in (*scan.array.shape[:0:-1], 2)])
        other = affine @ (corners * [[n - 1] for n in (*(*truth.shape, 1, 1)[:3], 2)])
        own_box, other_box = np.sort(own[:3], axis=1), np.sort(other[:3], axis=1)
        assert np.allclose(own_box, other_box, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(other_box).max()))
    return True


def dicom_seeds() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 900, (12, 10)).astype(np.int16)
    pixels[3:8, 2:9] = 700
    return [dicom_bytes(pixels, syntax) for syntax in
            (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
             RLELossless, JPEGLSLossless, JPEG2000Lossless)]  # fmt: skip


def dicom_bytes(pixels, syntax=ExplicitVRLittleEndian, extra: bytes = b"", **changes) -> bytes:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    native = syntax if not syntax.is_encapsulated else ExplicitVRLittleEndian
    data.file_meta.TransferSyntaxUID = native
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", "1.2.3.1", "1.2.3.9"
    data.PatientID, data.Modality = "P1", "CT"
    data.ImagePositionPatient, data.ImageOrientationPatient = [-10.0, -20.0, 5.0], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.SliceThickness = [0.8, 0.6], 2.0
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PhotometricInterpretation, data.SamplesPerPixel = "MONOCHROME2", 1
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.PixelData = (pixels.byteswap() if syntax == ExplicitVRBigEndian else pixels).tobytes()
    data["PixelData"].VR = "OW"
    for name, value in changes.items():
        setattr(data, name, value)
    if syntax == JPEG2000Lossless:
        picture = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint16)).save(picture, "JPEG2000", no_jp2=True)
        data.PixelData, data.PixelRepresentation = encapsulate([picture.getvalue()]), 0
        data.file_meta.TransferSyntaxUID = syntax
    elif syntax.is_encapsulated:
        data.compress(syntax, generate_instance_uid=False)
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue() + extra


def nested_sequences(depth: int, defined_length: bool) -> bytes:
    """A private-free explicit little-endian sequence nested `depth` times, in front of the pixels' group."""
    head = b"\x08\x00\x40\x11SQ\0\0"
    if not defined_length:
        opened = head + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
        closed = b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
        return opened * depth + closed * depth
    content = b""
    for _ in range(depth):
        item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content)) + content
        content = head + struct.pack("<I", len(item)) + item
    return content


def with_dataset_prefix(raw: bytes, prefix: bytes) -> bytes:
    """The file with elements put right after its file meta information."""
    length = struct.unpack("<I", raw[140:144])[0]
    return raw[: 144 + length] + prefix + raw[144 + length :]


def deflated_bomb(megabytes: int) -> bytes:
    raw = dicom_bytes(np.zeros((4, 4), np.int16), DeflatedExplicitVRLittleEndian)
    length = struct.unpack("<I", raw[140:144])[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    private = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", megabytes << 20)
    body = (
        packer.compress(private) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    )
    return raw[: 144 + length] + body


def hostile_dicom(rng: np.random.Generator) -> bytes:
    pixels = np.zeros((4, 4), np.int16)
    choice = int(rng.integers(5))
    if choice == 0:
        raw = dicom_bytes(pixels)
        return with_dataset_prefix(raw, nested_sequences(int(rng.integers(1000, 5001)), bool(rng.random() < 0.5)))
    if choice == 1:
        return dicom_bytes(pixels, Rows=int(rng.integers(30_000, 65_536)), Columns=int(rng.integers(30_000, 65_536)))
    if choice == 2:
        return dicom_bytes(pixels, NumberOfFrames=int(rng.integers(2, 2**31 - 1)))
    if choice == 3:
        return with_dataset_prefix(dicom_bytes(pixels), b"\x09\x00\x10\x10OB\0\0" + b"\xfe\xff\xff\xff")
    return with_dataset_prefix(dicom_bytes(pixels), nested_sequences(3, True) * int(rng.integers(1, 2000)))


def fuzz_dicom(folder, count: int, seed: int = 8) -> dict[str, int]:
    rng, originals, tally = np.random.default_rng(seed), dicom_seeds(), {"read": 0, "refused": 0}
    path = folder / "f.dcm"
    with Sandbox(LIMITS) as sandbox:
        for index in range(count):
            damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
            raw = hostile_dicom(rng) if index % 20 == 0 else damage(originals[index % len(originals)], rng)
            path.write_bytes(raw)
            scan, seconds = read_or_refuse(lambda p: read_dicom_series([p], limits=LIMITS, sandbox=sandbox), path)
            assert seconds < 5, (index, damage.__name__)  # the child's own time is limited by the sandbox
            tally["refused" if scan is None else "read"] += 1
            if scan is not None:
                assert scan.sha256[str(path)] == hashlib.sha256(raw).hexdigest()
                check_dicom_voxels(scan, raw)
    return tally


def check_dicom_voxels(scan, raw: bytes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(io.BytesIO(raw))
        truth = pydicom.pixels.apply_modality_lut(data.pixel_array, data).astype(scan.array.dtype)
    if data.PhotometricInterpretation != "MONOCHROME1":
        assert np.array_equal(np.sort(scan.array.ravel()), np.sort(truth.ravel()))


@pytest.mark.long
def test_damaged_nifti(tmp_path):
    tally = fuzz_nifti(tmp_path, 240)
    assert tally["refused"] > 80
    assert tally["compared"] > 0.8 * tally["read"] > 20


@pytest.mark.long
def test_damaged_dicom(tmp_path):
    tally = fuzz_dicom(tmp_path, 160)
    assert tally["refused"] > 50
    assert tally["read"] > 20


@pytest.mark.slow
def test_two_thousand_damaged_nifti(tmp_path):
    tally = fuzz_nifti(tmp_path, 2000)
    assert tally["compared"] > 0.8 * tally["read"] > 200


@pytest.mark.slow
def test_two_thousand_damaged_dicom(tmp_path):
    assert fuzz_dicom(tmp_path, 2000)["read"] > 200


@pytest.mark.parametrize("depth", [1000, 5000])
@pytest.mark.parametrize("defined_length", [True, False])
def test_nested_sequences_are_refused_as_such(tmp_path, depth, defined_length):
    path = tmp_path / "n.dcm"
    path.write_bytes(
        with_dataset_prefix(dicom_bytes(np.zeros((4, 4), np.int16)), nested_sequences(depth, defined_length))
    )
    with pytest.raises(RefusedFile, match="nested"):
        read_dicom_series(path, limits=LIMITS)
    shallow = with_dataset_prefix(dicom_bytes(np.ones((4, 4), np.int16)), nested_sequences(20, defined_length))
    path.write_bytes(shallow)
    assert (read_dicom_series(path, limits=LIMITS).array == -1023).all()


@pytest.mark.long
def test_a_deflated_bomb_is_refused_at_the_limit(tmp_path):
    path = tmp_path / "b.dcm"
    path.write_bytes(deflated_bomb(200))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(RefusedFile, match="inflates to more than"):
        read_dicom_series(path, limits=LIMITS)


@pytest.mark.long
@pytest.mark.parametrize("index", range(7))
def test_a_file_cut_within_its_pixels_is_always_refused(tmp_path, index):
    path, whole = tmp_path / "c.dcm", dicom_seeds()[index]
    with Sandbox(LIMITS) as sandbox:
        path.write_bytes(whole)
        truth = read_dicom_series(path, limits=LIMITS, sandbox=sandbox)
        for lost in (1, 2, 3, 7, 12, 20, 40):
            path.write_bytes(whole[:-lost])
            scan, _ = read_or_refuse(lambda p: read_dicom_series(p, limits=LIMITS, sandbox=sandbox), path)
            in_pixels = index < 4 or lost > 8  # compressed pixels are followed by a delimiter of 8 bytes
            assert scan is None or (not in_pixels and np.array_equal(scan.array, truth.array)), lost
