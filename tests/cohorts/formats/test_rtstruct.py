"""Structure sets: contours become the voxels that an independent rasteriser finds; what is uncertain is refused."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from skimage.measure import points_in_poly

from equipoise.cohorts.formats.limits import DEFAULT
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.rtstruct import is_structures, read_structures
from equipoise.cohorts.formats.rtstruct_parse import parse_contours
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.layouts.masks import read_mask

FRAME = "1.2.3.4"
SPACING, ORIGIN, SHAPE = (0.8, 1.1, 2.5), (-20.0, -31.0, 7.0), (9, 40, 36)


@pytest.fixture(scope="module")
def image():
    """An image whose voxel (x, y, z) lies at ORIGIN + SPACING · index in RAS mm."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = ORIGIN
    header = {"frame_of_reference": FRAME}
    return Scan(np.zeros((1, *SHAPE), np.float32), SPACING[::-1], affine, {}, header=header)


def mm(points, z):
    """Points (x, y) in voxels on slice z → LPS mm."""
    ras = np.column_stack([points, np.full(len(points), z)]) * SPACING + ORIGIN
    return ras * (-1, -1, 1)


def star(centre, inner, outer, count=9, turn=0.3):
    angle = np.arange(2 * count) * np.pi / count + turn
    radius = np.where(np.arange(2 * count) % 2, inner, outer)
    return np.column_stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)])


def write(path, structures, frame=FRAME):
    """structures: name → list of (points in LPS mm, kind)."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.Modality = "RTSTRUCT"
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(structures.items(), start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for points, kind in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [f"{value:.8g}" for value in points.ravel()]
            drawn.ContourSequence.append(contour)
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(drawn)
    data.save_as(path, enforce_file_format=True)
    return path


def closed(*contours):
    return [(mm(points, z), "CLOSED_PLANAR") for points, z in contours]


def rasterised(points):
    """Oracle: scikit-image, point by point."""
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    return points_in_poly(np.column_stack([x.ravel(), y.ravel()]), points).reshape(SHAPE[1:])


def test_contours_become_the_voxels_whose_centres_they_hold(image, tmp_path):
    outer, hole, other = star((17.3, 19.2), 7.1, 13.7), star((17.1, 19.4), 2.2, 4.3), star((6.2, 33.3), 2, 4)
    file = write(tmp_path / "s.dcm", {
        "organ": closed((outer, 3), (hole, 3), (outer, 4), (outer[::-1], 5)), "lesion": closed((other, 4)),
    })  # fmt: skip
    assert is_structures(file)
    read = read_structures(file, image)
    expected = np.zeros((2, *SHAPE), bool)
    expected[0, 3] = rasterised(outer) & ~rasterised(hole)
    expected[0, 4:6] = rasterised(outer)
    expected[1, 4] = rasterised(other)
    assert expected[0, 3].sum() > 100
    assert np.array_equal(read.masks, expected)
    assert (read.numbers, read.labels) == ((1, 2), ("organ", "lesion"))
    assert np.array_equal(read.label_map(), expected[0] + 2 * expected[1])


@pytest.mark.parametrize("seed", range(20))
def test_random_polygons_also_those_that_cross_themselves(seed, image, tmp_path):
    points = np.random.default_rng(seed).uniform((2, 2), (33, 37), (7, 2))
    read = read_structures(write(tmp_path / "s.dcm", {"a": closed((points, 2))}), image)
    assert np.array_equal(read.masks[0, 2], rasterised(points))


def test_voxel_centres_on_the_line_are_counted_once(image, tmp_path):
    """Two rectangles that share an edge through voxel centres share no voxel and leave none between them."""
    left, right = [(4, 5), (10, 5), (10, 12), (4, 12)], [(10, 5), (16, 5), (16, 12), (10, 12)]
    file = write(tmp_path / "s.dcm", {"a": closed((np.array(left), 2)), "b": closed((np.array(right), 2))})
    masks = read_structures(file, image).masks
    assert not (masks[0] & masks[1]).any()
    assert masks.sum() == 12 * 7


def test_structures_that_are_not_meant_are_left_out_with_a_remark(image, tmp_path):
    body, organ = star((18, 20), 14, 16), star((18, 20), 5, 7)
    mark = [(mm(np.array([[5.0, 5.0]]), 1), "POINT")]
    file = write(tmp_path / "s.dcm", {"BODY": closed((body, 2)), "organ": closed((organ, 2)), "isocentre": mark})
    with pytest.raises(RefusedFile, match="overlap"):
        read_mask(file, image)
    scan = read_mask(file, image, codes={0: 0, 2: 1})
    assert np.array_equal(scan.array[0] == 2, read_structures(file, image).masks[1])
    assert scan.remarks == ("structures left out: 'BODY', 'isocentre'",)
    with pytest.raises(RefusedFile, match="none of the structures"):
        read_structures(file, image, meant=lambda number, _: number == 7)


A = star((17, 19), 6, 11)


@pytest.mark.parametrize(
    ("contours", "match"),
    [
        (closed((A, 2.5)), "lies between two slices"),
        (closed((A, 2), (A, 4)), "drawn on slices 3 and 5 and on none between"),
        (closed((A, 2), (A, 2)), "has a contour twice"),
        (closed((A, 2), (A + 5, 2)), "contours that cross"),
        (closed((A + 20, 2)), "lies outside the image"),
        (closed((A, 11)), "lies outside the image"),
        (closed((A[:2], 2)), "has 2 points"),
        ([(mm(A, 2), "OPEN_PLANAR")], "OPEN_PLANAR"),
        ([(mm(A, 2) + np.linspace(0, 2, len(A))[:, None] * (0, 0, 1), "CLOSED_PLANAR")], "does not lie in a slice"),
    ],
)
def test_what_is_uncertain_is_refused(contours, match, image, tmp_path):
    with pytest.raises(RefusedFile, match=match):
        read_structures(write(tmp_path / "s.dcm", {"organ": contours}), image)


def test_two_bodies_with_slices_between_them_are_two_bodies(image, tmp_path):
    file = write(tmp_path / "s.dcm", {"nodes": closed((star((8, 8), 2, 4), 1), (star((25, 30), 2, 4), 6))})
    assert read_structures(file, image).masks.any(axis=(2, 3))[0].nonzero()[0].tolist() == [1, 6]


def test_another_frame_of_reference_or_an_image_without_a_place(image, tmp_path):
    file = write(tmp_path / "s.dcm", {"organ": closed((A, 2))}, frame="9.9")
    with pytest.raises(RefusedFile, match="another frame of reference"):
        read_structures(file, image)
    with pytest.raises(RefusedFile, match="no position in space"):
        read_structures(file, Scan(image.array, image.spacing_mm, None, {}))


def test_damaged_files_are_refused_or_read_as_they_are(image, tmp_path):
    file = write(tmp_path / "s.dcm", {"organ": closed((A, 2))})
    raw, random = file.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        changed = bytearray(raw[: random.integers(140, len(raw))])
        changed[random.integers(140, len(changed))] = random.integers(256)
        file.write_bytes(changed)
        try:
            assert read_structures(file, image).masks.shape[1:] == SHAPE
        except RefusedFile:
            continue


def test_the_parser_gives_structures_and_points(tmp_path):
    file = write(tmp_path / "s.dcm", {"organ": closed((A, 2), (A, 3)), "mark": [(mm(A[:1], 1), "POINT")]})
    facts, arrays = parse_contours(str(file), DEFAULT)
    assert [(one["number"], one["label"], one["kinds"]) for one in facts["structures"]] == [
        (1, "organ", ["CLOSED_PLANAR"] * 2), (2, "mark", ["POINT"]),
    ]  # fmt: skip
    assert np.allclose(arrays[1], mm(A, 3), atol=1e-5)
    assert arrays[2].shape == (1, 3)


def renumbered(path, numbers, codes=()):
    """Give the structures of a file other numbers, and codes (scheme, value, words) where there are any."""
    data = pydicom.dcmread(path)
    for number, roi, drawn in zip(numbers, data.StructureSetROISequence, data.ROIContourSequence, strict=True):
        roi.ROINumber = drawn.ReferencedROINumber = number
    data.RTROIObservationsSequence = []
    for number, (scheme, value, words) in zip(numbers, codes, strict=False):
        seen, code = Dataset(), Dataset()
        code.CodingSchemeDesignator, code.CodeValue, code.CodeMeaning = scheme, value, words
        seen.ReferencedROINumber, seen.RTROIIdentificationCodeSequence = number, [code]
        data.RTROIObservationsSequence.append(seen)
    data.save_as(path)
    return path


@pytest.mark.parametrize("number", [0, 70000])
def test_a_structure_is_read_by_its_name_whatever_its_number(image, tmp_path, number):
    points = star((17, 19), 7, 13)
    file = write(tmp_path / "s.dcm", {"GTV": closed((points, 3)), "Lung": closed((star((6, 33), 2, 4), 4))})
    renumbered(file, [number, 4464], [("SCT", "4147007", "Mass")])
    scan = read_mask(file, image, codes={"background": 0, 0: 0, "gtv": 1})
    assert scan.header["structures"] == {1: "GTV"}
    assert scan.header["meanings"] == {1: ("SCT 4147007", "Mass")}
    assert np.array_equal(scan.array[0, 3] == 1, rasterised(points))
    assert not scan.array[0, :3].any()
