"""DICOM segmentations: frames are placed by geometry, and highdicom is the oracle."""

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from equipoise.cohorts.formats.dicom import read_dicom_series
from equipoise.cohorts.formats.dicom_seg import read_segmentation
from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan, canonical


def segment(number, label):
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=codes.SCT.Liver,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )


def write_seg(path, images, masks, kind=hd.seg.SegmentationTypeValues.BINARY, **settings):
    """masks: (slice, y, x) of numbers, or (slice, y, x, segment), in the order of `images`."""
    count = masks.shape[3] if masks.ndim == 4 else int(masks.max())
    seg = hd.seg.Segmentation(
        source_images=images,
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=[segment(k + 1, f"part {k + 1}") for k in range(count)],
        series_instance_uid=hd.UID(),
        series_number=9,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="M",
        manufacturer_model_name="N",
        software_versions="1",
        device_serial_number="1",
        **settings,
    )
    seg.save_as(path)
    return path


@pytest.fixture
def ct(shared_data):
    files = sorted(shared_data.glob("dicom_samples/dcmqi_ct3_seg/0?.dcm"))
    images = sorted((pydicom.dcmread(file) for file in files), key=lambda image: image.ImagePositionPatient[2])
    for image in images:
        image.PatientName, image.SpecificCharacterSet = "JAN^CT", "ISO_IR 100"  # highdicom's writer insists on both
    return files, images, read_dicom_series(files)


def in_file_order(array):
    return array[..., ::-1, ::-1]  # an axial CT is stored left-posterior-superior


@pytest.mark.long
def test_frames_written_in_any_order_and_without_empty_ones_find_their_slices(ct, tmp_path):
    _, images, scan = ct
    truth = np.zeros((3, 512, 512), np.uint8)
    truth[0, 10:20, 30:50] = 1
    truth[2, 100:200, 300:400] = 2  # nothing at all on slice 1
    order = [2, 0, 1]
    path = write_seg(tmp_path / "s.dcm", [images[k] for k in order], truth[order], omit_empty_frames=True)
    assert pydicom.dcmread(path).NumberOfFrames == 2
    found = read_segmentation(path, scan)
    assert found.labels == ("part 1", "part 2")
    assert np.array_equal(in_file_order(found.label_map()), truth)
    assert found.masks.dtype == bool
    assert found.remarks == ()


@pytest.mark.long
def test_overlapping_segments_stay_apart(ct, tmp_path):
    _, images, scan = ct
    truth = np.zeros((3, 512, 512, 2), np.uint8)
    truth[1, 50:90, 50:90, 0] = 1
    truth[1, 70:99, 70:99, 1] = 1
    found = read_segmentation(write_seg(tmp_path / "o.dcm", images, truth), scan)
    assert np.array_equal(in_file_order(found.masks), truth.transpose(3, 0, 1, 2).astype(bool))
    with pytest.raises(RefusedFile, match="segments .* and .* overlap"):
        found.label_map()


def test_probabilities_keep_their_values(ct, tmp_path):
    _, images, scan = ct
    truth = np.zeros((3, 512, 512), np.float32)
    truth[0, 5:9, 5:9] = 0.5
    truth[1, 1:3, 1:3] = 1.0
    kind = hd.seg.SegmentationTypeValues.FRACTIONAL
    path = write_seg(tmp_path / "f.dcm", images, truth, kind, max_fractional_value=200)
    found = read_segmentation(path, scan)
    assert np.array_equal(in_file_order(found.masks[0]), truth)
    assert found.label_map(0.75).sum() == 4


@pytest.mark.long
def test_label_maps_are_split_into_segments(ct, tmp_path):
    _, images, scan = ct
    truth = np.zeros((3, 512, 512), np.uint8)
    truth[1, :9, :9], truth[1, 9:20, :9] = 1, 2
    found = read_segmentation(
        write_seg(tmp_path / "l.dcm", images, truth, hd.seg.SegmentationTypeValues.LABELMAP), scan
    )
    masks = in_file_order(found.masks)
    wanted = [found.numbers.index(1), found.numbers.index(2)]
    assert np.array_equal(masks[wanted[0]], truth == 1)
    assert np.array_equal(masks[wanted[1]], truth == 2)


@pytest.mark.long
def test_the_real_segmentations_agree_with_highdicom(ct, shared_data):
    files, images, scan = ct
    uids = [image.SOPInstanceUID for image in images]
    for name in ("dcmqi_ct3_seg/seg_liver.dcm", "dcmqi_ct3_seg/seg_partial_overlaps.dcm", "pydicom_valid/liver.dcm"):
        path = shared_data / "dicom_samples" / name
        oracle = hd.seg.segread(path).get_pixels_by_source_instance(
            source_sop_instance_uids=uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
        )
        found = read_segmentation(path, scan)
        assert np.array_equal(in_file_order(found.masks), oracle.transpose(3, 0, 1, 2).astype(bool)), name
        assert found.masks.any(), name
    assert len(files) == 3


@pytest.mark.long
@pytest.mark.parametrize("name", ["seg_image_ct_binary", "seg_image_ct_binary_overlap", "seg_image_ct_true_fractional"])
def test_highdicom_samples_agree_with_its_own_volume(shared_data, name):
    path = shared_data / "dicom_samples" / "highdicom" / f"{name}.dcm"
    truth = hd.seg.segread(path).get_volume(skip_overlap_checks=True, combine_segments=False, rescale_fractional=True)
    affine = np.diag([-1.0, -1, 1, 1]) @ truth.affine[:, [2, 1, 0, 3]]  # (slice, row, column) in LPS → (x, y, z) in RAS
    values, turned, spacing = canonical(truth.array.transpose(3, 0, 1, 2), affine)
    reference = Scan(np.zeros((1, *values.shape[1:])), spacing, turned, {})
    found = read_segmentation(path, reference)
    assert np.allclose(found.masks, values, atol=1e-6)
    assert found.masks.any()
    assert "geometry alone" in found.remarks[0]


def moved(scan, offset=(0, 0, 0), scale=1.0, crop=0, frame=None):
    affine = scan.affine.copy()
    affine[:3, 3] += offset
    affine[:3, 0] *= scale
    header = dict(scan.header) | ({"frame_of_reference": frame} if frame else {})
    return Scan(scan.array[..., crop:], scan.spacing_mm, affine, scan.sha256, "", header)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"offset": (0.4, 0, 0)}, "does not lie on the grid"),
        ({"offset": (0, 0, 0.5)}, "does not lie on the grid"),
        ({"offset": (0, 0, 50.0)}, "does not lie on the grid"),
        ({"scale": 1.1}, "does not lie on the grid"),
        ({"crop": 9}, "does not lie on the grid"),
        ({"frame": "1.2.3"}, "another frame of reference"),
    ],
)
def test_other_grids_are_refused(ct, shared_data, change, reason):
    path = shared_data / "dicom_samples" / "dcmqi_ct3_seg" / "seg_liver.dcm"
    with pytest.raises(RefusedFile, match=reason):
        read_segmentation(path, moved(ct[2], **change))


def test_a_larger_image_holds_the_frames_where_they_belong(ct, shared_data):
    path = shared_data / "dicom_samples" / "dcmqi_ct3_seg" / "seg_liver.dcm"
    scan = ct[2]
    small = read_segmentation(path, scan).masks
    padded = np.pad(scan.array, ((0, 0), (2, 1), (0, 5), (7, 0)))
    affine = scan.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ (7, 0, 2)
    found = read_segmentation(path, Scan(padded, scan.spacing_mm, affine, {}, "", scan.header))
    assert np.array_equal(found.masks[:, 2:5, :-5, 7:], small)
    assert found.masks.sum() == small.sum()


def test_images_reports_and_limits_are_refused(ct, shared_data):
    files, _, scan = ct
    with pytest.raises(RefusedFile, match="CT Image Storage, not a segmentation"):
        read_segmentation(files[0], scan)
    path = shared_data / "dicom_samples" / "dcmqi_ct3_seg" / "seg_liver.dcm"
    with pytest.raises(RefusedFile, match="no position in space"):
        read_segmentation(path, Scan(scan.array, scan.spacing_mm, None, {}))
    with pytest.raises(RefusedFile, match="beyond the limit"):
        read_segmentation(path.with_name("seg_partial_overlaps.dcm"), scan, limits=Limits(array_bytes=2_000_000))
