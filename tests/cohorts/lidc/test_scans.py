"""LIDC-IDRI from DICOM and XML: series are written with a real reading's identifiers, places and pixel size, and with
intensities that are a ramp in the world, so that every voxel of every crop is known.
"""

import math
import pickle
import shutil

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from equipoise.cohorts.lidc.annotations import read_lidc_xml
from equipoise.cohorts.lidc.database import find_database, read_database
from equipoise.cohorts.lidc.outlines import lidc_contours
from equipoise.cohorts.lidc.scans import lidc
from equipoise.errors import CohortError, ProtocolError

REAL = "LIDC-IDRI-0729_081.xml"
ORIGIN = (-170.0, -165.0)
RAMP = (1.0, 2.0, 3.0)  # HU per mm to the right, to anterior, to superior


def write_slice(path, series, study, sop, z, spacing, patient):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = sop
    data.SeriesInstanceUID, data.StudyInstanceUID = series, study
    data.PatientID, data.Modality, data.Manufacturer, data.SliceThickness = patient, "CT", "PHANTOM", 1.25
    data.ImagePositionPatient, data.ImageOrientationPatient = [*ORIGIN, z], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [spacing, spacing]
    data.RescaleSlope, data.RescaleIntercept = 0.01, -1024
    data.PhotometricInterpretation, data.SamplesPerPixel, data.Rows, data.Columns = "MONOCHROME2", 1, 512, 512
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 32, 32, 31, 1
    row, column = np.mgrid[:512, :512]
    world = (-(ORIGIN[0] + column * spacing), -(ORIGIN[1] + row * spacing), z)
    value = sum(factor * place for factor, place in zip(RAMP, world, strict=True))
    data.PixelData = np.rint((value + 1024) * 100).astype(np.int32).tobytes()
    data.save_as(path, enforce_file_format=True)


def write_series(folder, reading, spacing, patient, margin=12):
    """Slices over all outlines of a reading; their identities are those that the reading names."""
    outlines = [outline for mark in reading.large_nodules() for outline in mark.outlines]
    places = sorted({outline.z_mm for outline in outlines})
    step = min(np.diff(places))
    sops = {round((outline.z_mm - places[0]) / step): outline.sop_uid for outline in outlines}
    folder.mkdir(parents=True)
    for index in range(-margin, round((places[-1] - places[0]) / step) + margin + 1):
        name = f"{(index * 37) % 101:03d}.dcm"
        sop = sops.get(index) or generate_uid()
        write_slice(
            folder / name, reading.series_uid, reading.study_uid, sop, places[0] + index * step, spacing, patient
        )
    return places[0], step


@pytest.fixture(scope="module")
def distribution(shared_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("lidc")
    reading = read_lidc_xml(shared_data / "lidc_xml" / REAL)
    database = read_database(find_database())
    scan = np.flatnonzero(database.series == reading.series_uid)[0]
    spacing = float(database.pixel_mm[scan])
    write_series(root / "LIDC-IDRI-0729" / "series", reading, spacing, str(database.patient[scan]))
    shutil.copy(reading.file, root / "LIDC-IDRI-0729" / "series" / "081.xml")
    shutil.copy(shared_data / "lidc_xml" / "CXR_020.xml", root / "020.xml")
    return root, reading, spacing


def settings(**more):
    return {"size": 16, "spacing_mm": 0.9, "min_readers": 1} | more


@pytest.mark.long
def test_nodules_ratings_and_sizes_equal_those_of_the_tabulated_readings(distribution):
    root, reading, _ = distribution
    cohort = lidc(root, **settings())
    oracle = [c for c in lidc_contours(min_readers=1).cases if c.attributes["scan"] == reading.series_uid]
    assert len(cohort) == len(oracle) > 0
    for case, truth in zip(cohort.cases, oracle, strict=True):
        assert case.id == truth.id
        assert case.patient == truth.patient
        assert case.label == truth.label
        for key in ("malignancy_ratings", "n_readers", "spiculation", "malignancy", "study"):
            assert case.attributes[key] == truth.attributes[key]
        assert case.attributes["diameter_mm"] == pytest.approx(truth.attributes["diameter_mm"], abs=1e-3)
        assert case.attributes["volume_mm3"] == pytest.approx(truth.attributes["volume_mm3"], rel=1e-3)
    assert cohort.problems == ()
    assert [(out.case, out.reason) for out in cohort.excluded] == [("020", "a chest radiograph, not a CT scan")]
    assert f"{len(reading.small_nodules())} marks below 3 mm" in cohort.notes[0]


def filled(outlines, shape=(512, 512)):
    """Pixels inside the outlines of one reader on one slice, their own pixels left out: an independent rasteriser."""
    inside = np.zeros(shape, bool)
    for outline in sorted(outlines, key=lambda outline: not outline.inclusion):
        canvas = Pillow.new("L", shape[::-1])
        points = [tuple(map(int, point)) for point in outline.points]
        ImageDraw.Draw(canvas).polygon(points, fill=1, outline=1)
        ImageDraw.Draw(canvas).line([*points, points[0]], fill=0)
        inside = inside | (np.asarray(canvas) > 0) if outline.inclusion else inside & ~(np.asarray(canvas) > 0)
    return inside


@pytest.mark.long
@pytest.mark.parametrize("agreement", [0.25, 0.5, 1.0])
def test_whole_scans_carry_the_readers_agreement(distribution, agreement):
    root, reading, spacing = distribution
    cohort = lidc(root, task="segmentation", view="scan", agreement=agreement, min_readers=1)
    (case,) = cohort.cases
    image = case.read()
    marks = reading.large_nodules()
    places = sorted({outline.z_mm for mark in marks for outline in mark.outlines})
    votes = np.zeros(image.array.shape[1:], int)
    for mark in marks:  # this reading's marks are all of one nodule
        for z in places:
            here = [outline for outline in mark.outlines if outline.z_mm == z]
            votes[12 + round((z - places[0]) / min(np.diff(places)))] += filled(here)
    expected = (votes >= agreement * len(marks))[:, ::-1, ::-1]
    assert case.attributes["nodules"] == 1
    assert np.array_equal(image.mask, expected)
    assert expected.any()
    assert image.spacing_mm[1] == pytest.approx(spacing, abs=1e-6)


@pytest.mark.long
def test_every_voxel_of_a_crop_is_where_it_should_be(distribution):
    root, _, spacing = distribution
    (case,) = lidc(root, task="segmentation", **settings(size=17)).cases
    crop = case.read()
    scan = lidc(root, task="segmentation", view="scan", agreement=0.5, min_readers=1).cases[0].read()
    offsets = (np.arange(17) - 8) * 0.9
    ramp = sum(f * o for f, o in zip(RAMP[::-1], np.meshgrid(offsets, offsets, offsets, indexing="ij"), strict=True))
    middle = crop.array[0, 8, 8, 8]
    assert np.allclose(crop.array[0], middle + ramp, atol=0.02)
    inside = np.argwhere(scan.mask).mean(axis=0) * scan.spacing_mm
    centre = scan.affine @ [*(inside / scan.spacing_mm)[::-1], 1]
    assert middle == pytest.approx(sum(f * c for f, c in zip(RAMP, centre[:3], strict=True)), abs=4)
    assert crop.mask.sum() * 0.9**3 == pytest.approx(scan.mask.sum() * math.prod(scan.spacing_mm), rel=0.25)
    assert spacing > 0


@pytest.mark.long
def test_slices_are_the_planes_of_the_volume(distribution):
    root, _, _ = distribution
    volume = lidc(root, **settings(size=17)).cases[0].read().array[0]
    planes = pickle.loads(pickle.dumps(lidc(root, view="slices", **settings(size=17)).cases[0].read))()
    assert np.allclose(planes.array, np.stack([volume[8], volume[:, 8], volume[:, :, 8]]), atol=1e-3)
    assert planes.spacing_mm == (0.9, 0.9)


@pytest.mark.long
def test_missing_slices_series_and_outlined_slices_are_problems(distribution, tmp_path, shared_data):
    root, reading, _ = distribution
    shutil.copytree(root, tmp_path / "copy")
    shutil.copy(shared_data / "lidc_xml" / "LIDC-IDRI-0025_115.xml", tmp_path / "copy" / "115.xml")
    (tmp_path / "copy" / "broken.xml").write_text("<a>")
    cohort = lidc(tmp_path / "copy", **settings())
    found = {problem.case: problem.problem for problem in cohort.problems}
    assert set(found) == {"115", "broken"}
    assert "is missing" in found["115"]
    assert len(lidc(tmp_path / "copy", on_problem="exclude", **settings()).excluded) == 3
    outlined = {outline.sop_uid for mark in reading.large_nodules() for outline in mark.outlines}
    files = sorted((tmp_path / "copy" / "LIDC-IDRI-0729" / "series").glob("*.dcm"))
    by_place = sorted(files, key=lambda file: pydicom.dcmread(file, stop_before_pixels=True).ImagePositionPatient[2])
    last = [file for file in by_place if pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID in outlined][-1]
    for file in by_place[by_place.index(last) :]:
        file.unlink()
    with pytest.raises(CohortError, match="gives no case"):
        lidc(tmp_path / "copy", **settings())
    by_place[2].unlink()
    with pytest.raises(CohortError, match="gives no case"):
        lidc(tmp_path / "copy", **settings())


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"task": "tracing"}, "task"),
        ({"task": "detection", "view": "volume"}, "view"),
        ({"view": "scan"}, "view"),
        ({"task": "segmentation", "view": "slices"}, "view"),
        ({"label": "size"}, "label"),
        ({"truthing": "guess"}, "truthing"),
        ({"agreement": 0}, "agreement"),
        ({"min_readers": 5}, "min_readers"),
        ({"size": 4}, "size"),
        ({"on_problem": "ignore"}, "on_problem"),
    ],
)
def test_impossible_settings_are_named(tmp_path, change, key):
    with pytest.raises(ProtocolError, match=rf"cohort\.{key}"):
        lidc(tmp_path, **change)


def test_empty_folders_say_what_to_give(tmp_path):
    with pytest.raises(CohortError, match="gives no case of LIDC-IDRI"):
        lidc(tmp_path)
