"""Damaged DICOM segmentations and structure sets: no hang, no crash, no wrong voxel.

    pytest -m slow tests/cohorts/test_fuzz_masks.py        2,000 of each

What is read from a damaged segmentation has, on every slice, the pixels that pydicom gets from the same bytes.
"""

import importlib.util
import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from equipoise.cohorts.formats.dicom_seg import read_segmentation
from equipoise.cohorts.formats.rtstruct import read_structures
from equipoise.cohorts.formats.sandbox import Sandbox
from equipoise.cohorts.formats.scan import Scan

spec = importlib.util.spec_from_file_location("fuzz_readers", Path(__file__).with_name("test_fuzz_readers.py"))
fuzz_readers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz_readers)
LIMITS, DAMAGES, read_or_refuse = fuzz_readers.LIMITS, fuzz_readers.DAMAGES, fuzz_readers.read_or_refuse
FRAME, SHAPE = "1.2.3.4", (5, 12, 16)


def image():
    """The image in RAS+: its stored grid is LPS with the first pixel at the origin, 1 × 1 × 2 mm."""
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:2, 3] = (-15, -11)
    header = {"frame_of_reference": FRAME}
    return Scan(np.zeros((1, *SHAPE), np.float32), (2.0, 1.0, 1.0), affine, {}, header=header)


def saved(data, sop_class):
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = sop_class
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.9"
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def sequence(**values):
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return [item]


def segmentation():
    """A binary segmentation of one segment on slices 3, 1 and 4, in this order."""
    bits = np.random.default_rng(0).random((3, *SHAPE[1:])) > 0.5
    data = Dataset()
    data.Modality, data.SegmentationType, data.FrameOfReferenceUID = "SEG", "BINARY", FRAME
    data.SeriesInstanceUID, data.StudyInstanceUID = "1.2.3.7", "1.2.3.6"
    data.PhotometricInterpretation, data.SamplesPerPixel = "MONOCHROME2", 1
    data.NumberOfFrames, data.Rows, data.Columns = 3, *SHAPE[1:]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 1, 1, 0, 0
    data.SegmentSequence = sequence(SegmentNumber=1, SegmentLabel="organ")
    data.SharedFunctionalGroupsSequence = sequence(
        PlaneOrientationSequence=sequence(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        PixelMeasuresSequence=sequence(PixelSpacing=[1, 1], SliceThickness=2),
    )
    data.PerFrameFunctionalGroupsSequence = [
        sequence(
            PlanePositionSequence=sequence(ImagePositionPatient=[0, 0, 2 * z]),
            SegmentIdentificationSequence=sequence(ReferencedSegmentNumber=1),
        )[0]
        for z in (3, 1, 4)
    ]
    data.PixelData = np.packbits(bits, bitorder="little").tobytes()
    return saved(data, "1.2.840.10008.5.1.4.1.1.66.4"), bits


def structures():
    """A structure set of one octagon on two slices."""
    angle = np.arange(8) * np.pi / 4 + 0.2
    contours = []
    for z in (1, 2):
        points = np.column_stack([8 + 4.3 * np.cos(angle), 6 + 4.3 * np.sin(angle), np.full(8, 2.0 * z)])
        texts = [f"{value:.6g}" for value in points.ravel()]
        contours += sequence(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=8, ContourData=texts)
    data = Dataset()
    data.Modality = "RTSTRUCT"
    data.StructureSetROISequence = sequence(ROINumber=1, ROIName="organ", ReferencedFrameOfReferenceUID=FRAME)
    data.ROIContourSequence = sequence(ReferencedROINumber=1, ContourSequence=contours)
    return saved(data, "1.2.840.10008.5.1.4.1.1.481.3")


def fuzz(folder, raw, read, compare, count, seed=17):
    rng, tally, path = np.random.default_rng(seed), {"read": 0, "refused": 0}, folder / "m.dcm"
    with Sandbox(LIMITS) as sandbox:
        for _ in range(count):
            changed = DAMAGES[int(rng.integers(len(DAMAGES)))](raw, rng)
            path.write_bytes(changed)
            masks, seconds = read_or_refuse(lambda p: read(p, image(), limits=LIMITS, sandbox=sandbox), path)
            assert seconds < 5
            tally["refused" if masks is None else "read"] += 1
            if masks is not None:
                assert masks.masks.shape[1:] == SHAPE
                compare(masks, changed)
    return tally


def as_pydicom(segments, raw):
    """Each slice holds the pixels of the frames that pydicom finds at its height, in the image's orientation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(io.BytesIO(raw), force=True)
        frames = data.pixel_array.reshape(-1, data.Rows, data.Columns) != 0
    orientation = data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    assert segments.masks.sum() == frames.sum()
    if list(orientation) != [1, 0, 0, 0, 1, 0]:
        return
    for frame, group in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):
        height = round(float(group.PlanePositionSequence[0].ImagePositionPatient[2]) / 2)
        assert any(np.array_equal(mask[height], frame[::-1, ::-1]) for mask in segments.masks)


def nothing_more(_masks, _raw):
    return


def test_the_sound_files_are_read(tmp_path):
    raw, bits = segmentation()
    (tmp_path / "s.dcm").write_bytes(raw)
    masks = read_segmentation(tmp_path / "s.dcm", image()).masks[0]
    assert np.array_equal(masks[[3, 1, 4]], bits[:, ::-1, ::-1])
    (tmp_path / "r.dcm").write_bytes(structures())
    assert read_structures(tmp_path / "r.dcm", image()).masks.sum() > 80


@pytest.mark.long
def test_damaged_segmentations(tmp_path):
    tally = fuzz(tmp_path, segmentation()[0], read_segmentation, as_pydicom, 40)
    assert min(tally.values()) > 2


@pytest.mark.long
def test_damaged_structure_sets(tmp_path):
    tally = fuzz(tmp_path, structures(), read_structures, nothing_more, 40)
    assert min(tally.values()) > 2


@pytest.mark.slow
def test_two_thousand_damaged_segmentations(tmp_path):
    assert fuzz(tmp_path, segmentation()[0], read_segmentation, as_pydicom, 2000, seed=18)["read"] > 50


@pytest.mark.slow
def test_two_thousand_damaged_structure_sets(tmp_path):
    assert fuzz(tmp_path, structures(), read_structures, nothing_more, 2000, seed=19)["read"] > 20
