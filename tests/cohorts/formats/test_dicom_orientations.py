"""DICOM in all 48 orientations: the image, highdicom's segmentation of it, and the file that every plane came from."""

import dataclasses
import itertools

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from equipoise.cohorts.formats.dicom import read_dicom_series
from equipoise.cohorts.formats.dicom_seg import read_segmentation
from equipoise.cohorts.formats.reading import read_any
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.deploy.dicom_segmentation import segmentation_bytes
from equipoise.errors import CohortError

SLICES, ROWS, COLUMNS = 5, 9, 7  # 9 × 7 bits fill an odd number of bytes
ORIENTATIONS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def axes_of(order, signs, turn):
    """Directions of columns, rows and slices in LPS: a right-handed turn of a permutation, mirrored at will."""
    axes = np.zeros((3, 3))
    axes[range(3), list(order)] = signs
    a, b, c = np.radians(turn)
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return axes @ (rx @ ry @ rz).T


def write_series(folder, pixels, axes, step=2.5, number=lambda k: k + 1):
    """pixels (slice, row, column) along axes[2], axes[1], axes[0] in LPS; returns the data sets in slice order."""
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for k, plane in enumerate(pixels):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{k + 1}"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", "1.2.3.1", "1.2.3.9"
        data.PatientID, data.PatientName, data.Modality = "P1", "A^B", "CT"
        data.PatientBirthDate = data.PatientSex = data.StudyDate = data.StudyTime = data.StudyID = ""
        data.AccessionNumber = data.ReferringPhysicianName = ""
        data.SeriesNumber, data.InstanceNumber = 1, number(k)
        data.ImagePositionPatient = [round(float(v), 6) for v in np.array([3.0, -7.0, 11.0]) + axes[2] * step * k]
        data.ImageOrientationPatient = [round(float(v), 8) for v in (*axes[0], *axes[1])]
        data.PixelSpacing, data.SliceThickness = [0.8, 0.6], step
        data.PhotometricInterpretation, data.SamplesPerPixel = "MONOCHROME2", 1
        data.Rows, data.Columns = plane.shape
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.PixelData = plane.astype("<i2").tobytes()
        data["PixelData"].VR = "OW"
        data.save_as(folder / f"{(k * 7) % 11:02d}.dcm", enforce_file_format=True)
        images.append(data)
    return images


def write_seg(path, images, masks, kind):
    description = hd.seg.SegmentDescription(
        segment_number=1, segment_label="part", segmented_property_category=codes.SCT.Organ,
        segmented_property_type=codes.SCT.Liver, algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )  # fmt: skip
    hd.seg.Segmentation(
        source_images=images, pixel_array=masks, segmentation_type=kind, segment_descriptions=[description],
        series_instance_uid="1.2.7", series_number=9, sop_instance_uid="1.2.7.1", instance_number=1, manufacturer="M",
        manufacturer_model_name="N", software_versions="1", device_serial_number="1",
    ).save_as(path)  # fmt: skip
    return path


def check(folder, order, signs, turn, kind):
    """Values, place in the world, mask and files of one series, each voxel by itself."""
    rng = np.random.default_rng(abs(hash((order, signs))) % 1000)
    pixels = rng.integers(-900, 900, (SLICES, ROWS, COLUMNS))
    masks = (rng.random(pixels.shape) < 0.3).astype(np.uint8)
    masks[1] = 0  # left out by the writer
    axes = axes_of(order, signs, turn)
    images = write_series(folder, pixels, axes)
    scan = read_dicom_series(folder)
    found = read_segmentation(write_seg(folder.with_suffix(".seg"), images, masks, kind), scan)
    assert found.numbers == (1,)
    assert found.masks.sum() == masks.sum()
    world = np.array([3.0, -7.0, 11.0]) + np.stack(np.indices(pixels.shape)[::-1], -1) @ (
        axes * np.array([0.6, 0.8, 2.5])[:, None]
    )
    ras = world * (-1, -1, 1)
    index = np.rint((np.c_[ras.reshape(-1, 3), np.ones(pixels.size)] @ np.linalg.inv(scan.affine).T)[:, :3]).astype(int)
    x, y, z = index.T
    assert np.array_equal(scan.array[0][z, y, x], pixels.ravel())
    assert np.array_equal(found.masks[0][z, y, x], masks.ravel().astype(bool))
    for k, plane in enumerate(np.moveaxis(scan.array[0], scan.plane_axis, 0)):
        source = pydicom.dcmread(scan.planes[k].file)
        assert sorted(plane.ravel()) == sorted(source.pixel_array.ravel())
        assert source.SOPInstanceUID == scan.planes[k].sop_uid
        assert scan.planes[k].position == pytest.approx(tuple(source.ImagePositionPatient))


@pytest.mark.long
@pytest.mark.parametrize("kind", [hd.seg.SegmentationTypeValues.BINARY, hd.seg.SegmentationTypeValues.LABELMAP])
@pytest.mark.parametrize("part", range(4))
def test_every_orientation_is_read_and_its_segmentation_placed(tmp_path, kind, part):
    for number, (order, signs) in enumerate(ORIENTATIONS[part::4]):
        if np.linalg.det(axes_of(order, signs, (0, 0, 0))) > 0:  # a stack against its normal: the writer's own order
            check(tmp_path / f"{number}", order, signs, (0, 0, 0), kind)
        else:
            mirrored = (*signs[:2], -signs[2])
            check(tmp_path / f"{number}", order, mirrored, (17, 23, 31), kind)


@pytest.mark.long
@pytest.mark.parametrize("turn", [(17, 23, 31), (45, 0, 0), (0, 45, 0), (44, 44, 44)])
def test_oblique_series_too(tmp_path, turn):
    check(tmp_path / "o", (0, 1, 2), (1, 1, 1), turn, hd.seg.SegmentationTypeValues.BINARY)
    check(tmp_path / "p", (2, 0, 1), (-1, -1, 1), turn, hd.seg.SegmentationTypeValues.LABELMAP)


@pytest.mark.long
def test_a_pad_byte_that_is_not_zero_is_remarked(tmp_path):
    pixels = np.zeros((SLICES, ROWS, COLUMNS), int)
    images = write_series(tmp_path / "s", pixels, np.eye(3))
    masks = np.ones(pixels.shape, np.uint8)
    path = write_seg(tmp_path / "a.dcm", images, masks, hd.seg.SegmentationTypeValues.BINARY)
    data = pydicom.dcmread(path)
    held = -(-data.NumberOfFrames * ROWS * COLUMNS // 8)
    for pad in (b"0", b"\0", b"\xff"):
        data.PixelData = data.PixelData[:held] + pad * (held % 2)
        data.save_as(path)
        found = read_segmentation(path, read_dicom_series(tmp_path / "s"))
        assert found.masks.all()
        assert any("pads" in remark for remark in found.remarks) == (pad != b"\0" and held % 2 == 1)


@pytest.mark.long
@pytest.mark.parametrize(
    ("lost", "stated", "said"),
    [(0, None, "numbered from 2"), (0, 5, "states 5 images"), (4, 5, "states 5 images"), (4, None, ""), (None, 5, "")],
)
def test_a_missing_outermost_slice_is_said_where_anything_tells(tmp_path, lost, stated, said):
    pixels = np.zeros((SLICES, ROWS, COLUMNS), int)
    images = write_series(tmp_path / "s", pixels, np.eye(3))
    for k, image in enumerate(images):
        file = tmp_path / "s" / f"{(k * 7) % 11:02d}.dcm"
        if stated:
            image.ImagesInAcquisition = stated
            image.save_as(file, enforce_file_format=True)
        if k == lost:
            file.unlink()
    scan = read_dicom_series(tmp_path / "s")
    assert scan.header["slices"] == (SLICES if lost is None else SLICES - 1)
    low, high = scan.header["slices_from_to_mm"]
    assert high - low == pytest.approx(2.5 * (scan.header["slices"] - 1))
    assert (said in " ".join(scan.remarks)) if said else scan.remarks == ()


@pytest.mark.long
def test_scouts_are_left_out_and_two_stacks_stay_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 99, (9, ROWS, COLUMNS))
    write_series(tmp_path / "s", pixels, np.eye(3), number=lambda k: k + 2)
    truth = read_dicom_series(tmp_path / "s").array
    scout = write_series(tmp_path / "scout", pixels[:1, ::2], axes_of((0, 2, 1), (1, -1, 1), (0, 0, 0)))[0]
    scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.99"
    scout.save_as(tmp_path / "s" / "scout.dcm")
    scan = read_dicom_series(tmp_path / "s")
    assert np.array_equal(scan.array, truth)
    assert "scout" in scan.remarks[0]
    assert not any("scout.dcm" in file for file in scan.sha256)
    for k in range(2, 5):
        scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.9{k}"
        scout.save_as(tmp_path / "s" / f"scout{k}.dcm")
    with pytest.raises(RefusedFile, match="differs"):
        read_dicom_series(tmp_path / "s")


@pytest.mark.parametrize("syntax", ["meta", "explicit", "implicit"])
def test_files_without_a_preamble_are_read_from_their_first_element(tmp_path, syntax):
    pixels = np.random.default_rng(0).integers(0, 99, (3, ROWS, COLUMNS))
    images = write_series(tmp_path / "s", pixels, np.eye(3))
    truth = read_any(tmp_path / "s").array
    for k, image in enumerate(images):
        file = tmp_path / "s" / f"{(k * 7) % 11:02d}.dcm"
        if syntax == "meta":
            file.write_bytes(file.read_bytes()[132:])
        else:
            image.preamble = None
            del image.file_meta
            image.save_as(file, implicit_vr=syntax == "implicit", little_endian=True, enforce_file_format=False)
        assert file.read_bytes()[128:132] != b"DICM"
    scan = read_any(tmp_path / "s")
    assert np.array_equal(scan.array, truth)
    assert scan.remarks == ("it has no DICOM preamble and was read from its first element on",)


def test_a_dicom_file_is_told_by_its_first_bytes_whatever_its_name(tmp_path):
    write_series(tmp_path / "s", np.ones((1, ROWS, COLUMNS), int), np.eye(3))
    for name in ("IM0001", "1.2.840.113", "a.dicom", "b.IMA"):
        (tmp_path / name).write_bytes((tmp_path / "s" / "00.dcm").read_bytes())
        assert (read_any(tmp_path / name).array == 1).all()


def written_and_read(folder, order, signs, turn):
    """A mask of our own writing: by our reader, by highdicom at each source instance, and by place in the world."""
    pixels = np.random.default_rng(7).integers(-900, 900, (SLICES, ROWS, COLUMNS))
    axes = axes_of(order, signs, turn)
    images = write_series(folder, pixels, axes, number=lambda k: SLICES - k)
    scan = read_dicom_series(folder)
    rng = np.random.default_rng(abs(hash((order, signs))) % 1000)
    masks = {name: rng.random(scan.array.shape[1:]) < 0.3 for name in ("liver", "tumour")}
    masks["tumour"][0] = False
    path = folder.with_suffix(".dcm")
    path.write_bytes(segmentation_bytes(masks, scan, arm="unet", bundle="ab" * 32))
    again = read_segmentation(path, scan)
    assert again.labels == ("liver", "tumour")
    assert np.array_equal(again.masks, np.stack(list(masks.values())))
    theirs = hd.seg.segread(path)
    uids = [image.SOPInstanceUID for image in images]
    frames = theirs.get_pixels_by_source_instance(uids, segment_numbers=[1, 2])
    # what the network sees at a voxel, and the value that the source file stores at the same place
    for number, mask in enumerate(masks.values()):
        inside = np.moveaxis(mask, scan.plane_axis, 0)
        values = np.moveaxis(scan.array[0], scan.plane_axis, 0)
        for k, plane in enumerate(scan.planes):
            frame = frames[uids.index(plane.sop_uid), :, :, number].astype(bool)
            stored = pixels[uids.index(plane.sop_uid)]
            assert sorted(stored[frame].tolist()) == sorted(values[k][inside[k]].tolist())
    data = pydicom.dcmread(path)
    for frame in data.PerFrameFunctionalGroupsSequence:
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        place = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        there = [np.abs(np.array(image.ImagePositionPatient, float) - place).max() < 1e-4 for image in images]
        source = images[there.index(True)]
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert (reference, number in (1, 2)) == (source.SOPInstanceUID, True)
    return data


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
def test_a_segmentation_of_our_own_lies_on_its_source_slices_in_every_orientation(tmp_path, part):
    for number, (order, signs) in enumerate(ORIENTATIONS[part::4]):
        right_handed = np.linalg.det(axes_of(order, signs, (0, 0, 0))) > 0
        turn = (0, 0, 0) if right_handed else (17, 23, 31)
        signs = signs if right_handed else (*signs[:2], -signs[2])
        data = written_and_read(tmp_path / f"{number}", order, signs, turn)
        # 2 segments × 5 slices × 63 pixels are 79 bytes: the pad is a zero byte, as the standard says
        assert (len(data.PixelData), data.PixelData[-1:]) == (80, b"\0")


@pytest.mark.long
def test_what_a_segmentation_says_of_itself(tmp_path):
    data = written_and_read(tmp_path / "s", (0, 1, 2), (1, 1, 1), (0, 0, 0))
    assert (data.PatientID, data.StudyInstanceUID, data.FrameOfReferenceUID) == ("P1", "1.2.3", "1.2.3.9")
    algorithm = data.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("unet", "ab" * 32)
    assert "research only" in data.SeriesDescription
    assert data.NumberOfFrames == 2 * SLICES  # empty planes as well
    scan = read_dicom_series(tmp_path / "s")
    again = segmentation_bytes({"liver": np.zeros(scan.array.shape[1:], bool)}, scan, arm="unet", bundle="ab" * 32)
    (tmp_path / "empty.dcm").write_bytes(again)
    assert not read_segmentation(tmp_path / "empty.dcm", scan).masks.any()


def test_a_segmentation_is_not_written_beside_what_it_belongs_to(tmp_path):
    write_series(tmp_path / "s", np.ones((SLICES, ROWS, COLUMNS), int), np.eye(3))
    scan = read_dicom_series(tmp_path / "s")
    masks = {"a": np.ones(scan.array.shape[1:], bool)}
    file = tmp_path / "s" / "00.dcm"
    file.write_bytes(file.read_bytes() + b"\0\0")
    with pytest.raises(RefusedFile, match="changed since it was read"):
        segmentation_bytes(masks, scan, arm="unet", bundle="ab")
    with pytest.raises(CohortError, match="read from a DICOM series"):
        segmentation_bytes(masks, dataclasses.replace(scan, planes=()), arm="unet", bundle="ab")
    moved = scan.affine.copy()
    moved[0, 3] += 0.2
    scan = dataclasses.replace(read_dicom_series(tmp_path / "s"), affine=moved)
    with pytest.raises(RefusedFile, match="voxels away from the mask's"):
        segmentation_bytes(masks, scan, arm="unet", bundle="ab")


def test_slices_a_little_beside_their_grid_get_their_masks(tmp_path):
    """Scanners round positions: a real series lay .06 pixels beside the grid through its first and last slice."""
    pixels = np.random.default_rng(1).integers(0, 99, (SLICES, ROWS, COLUMNS))
    images = write_series(tmp_path / "s", pixels, np.eye(3))
    images[2].ImagePositionPatient = [3.0 + 0.06, -7.0 - 0.08, 11.0 + 5.1]
    images[2].save_as(tmp_path / "s" / f"{(2 * 7) % 11:02d}.dcm", enforce_file_format=True)
    scan = read_dicom_series(tmp_path / "s")
    masks = {"part": scan.array[0] > 50}
    (tmp_path / "a.dcm").write_bytes(segmentation_bytes(masks, scan, arm="unet", bundle="ab"))
    assert np.array_equal(read_segmentation(tmp_path / "a.dcm", scan).masks[0], masks["part"])
    theirs = write_seg(tmp_path / "b.dcm", images, (pixels > 50).astype(np.uint8), hd.seg.SegmentationTypeValues.BINARY)
    assert np.array_equal(read_segmentation(theirs, scan).masks[0], masks["part"])
