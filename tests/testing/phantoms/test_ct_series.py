"""Series written for real readings: SimpleITK reads what was written, `lidc` finds nodules where drawn."""

import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from equipoise.cohorts.formats.dicom import read_dicom_series
from equipoise.cohorts.lidc.annotations import read_lidc_xml
from equipoise.cohorts.lidc.database import find_database, read_database
from equipoise.cohorts.lidc.outlines import lidc_contours
from equipoise.cohorts.lidc.scans import lidc
from equipoise.errors import CohortError, FileRefused, ProtocolError
from equipoise.testing.phantoms.ct_series import LUNG_HU, SCANNERS, STEP_HU, write_ct

FEW_SLICES = "LIDC-IDRI-0509_254.xml"


def written(shared_data, name, folder, **settings):
    """The series of a real reading with the pixel and slice distances that the data set tabulates, and its XML."""
    reading = read_lidc_xml(shared_data / "lidc_xml" / name)
    database = read_database(find_database())
    scan = np.flatnonzero(database.series == reading.series_uid)[0]
    facts = {"patient": str(database.patient[scan]), "pixel_mm": float(database.pixel_mm[scan])}
    series = write_ct(folder / "series", reading, **facts, **settings)
    shutil.copy(reading.file, folder / "series")
    return reading, series, facts


@pytest.fixture(scope="module")
def real(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    return folder, *written(shared_data, FEW_SLICES, folder)


@pytest.mark.long
def test_simpleitk_reads_the_same_grid_and_values(real):
    folder, _, series, facts = real
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "series")))
    image = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), series.hounsfield)
    np.testing.assert_allclose(image.GetSpacing(), (facts["pixel_mm"], facts["pixel_mm"], 5.0), rtol=1e-6)


@pytest.mark.long
def test_files_carry_the_identifiers_of_the_reading(real):
    folder, reading, series, facts = real
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in (folder / "series").glob("*.dcm")]
    assert {(str(h.SeriesInstanceUID), str(h.StudyInstanceUID), str(h.PatientID)) for h in headers} == {
        (reading.series_uid, reading.study_uid, facts["patient"])
    }
    z = {str(header.SOPInstanceUID): float(header.ImagePositionPatient[2]) for header in headers}
    assert sorted(z, key=z.__getitem__) == list(series.sops)
    for mark in reading.large_nodules():
        for outline in mark.outlines:
            assert z[outline.sop_uid] == pytest.approx(outline.z_mm, abs=1e-3)


@pytest.mark.long
def test_whole_scans_show_bright_what_readers_outlined(real):
    folder, reading, series, _ = real
    (case,) = lidc(folder, task="segmentation", view="scan", min_readers=1, agreement=0.25).cases
    image = case.read()
    np.testing.assert_array_equal(image.array[0], series.hounsfield[:, ::-1, ::-1])
    votes = series.votes[:, ::-1, ::-1]
    np.testing.assert_array_equal(image.mask, votes > 0)
    assert reading.large_nodules()
    for count in range(1, 5):
        expected = LUNG_HU + STEP_HU * count / 4
        assert image.array[0][votes == count].mean() == pytest.approx(expected, abs=3)


@pytest.mark.slow
def test_every_real_reading_finds_its_nodules(shared_data, tmp_path):
    """All 31 CT readings with a series each: nodules, sizes and ratings as tabulated by others."""
    names = sorted(file.name for file in (shared_data / "lidc_xml").glob("LIDC*.xml"))
    assert len(names) == 31
    oracle: dict[str, list] = {}
    for case in lidc_contours(min_readers=1).cases:
        oracle.setdefault(case.attributes["scan"], []).append(case)
    database = read_database(find_database())
    slice_mm = dict(zip(database.series.tolist(), database.slice_mm.tolist(), strict=True))
    compared = 0
    for number, name in enumerate(names):
        uid = read_lidc_xml(shared_data / "lidc_xml" / name).series_uid
        scanner = SCANNERS[number % 4]
        written(shared_data, name, tmp_path / name, scanner=scanner, slice_mm=slice_mm[uid], margin=12)
        if uid not in oracle:
            continue
        found = lidc(tmp_path / name, min_readers=1, size=16).cases
        assert [case.id.split("-")[-1] for case in found] == [case.id.split("-")[-1] for case in oracle[uid]], name
        for case, truth in zip(found, oracle[uid], strict=True):
            assert case.label == truth.label
            assert case.attributes["malignancy_ratings"] == truth.attributes["malignancy_ratings"]
            assert case.attributes["diameter_mm"] == pytest.approx(truth.attributes["diameter_mm"], abs=1e-3)
            assert case.attributes["volume_mm3"] == pytest.approx(truth.attributes["volume_mm3"], rel=1e-3)
            crop = case.read().array
            assert crop[0, 6:10, 6:10, 6:10].max() > LUNG_HU + STEP_HU / 8
            compared += 1
        shutil.rmtree(tmp_path / name)
    assert compared > 50


READING = """<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader><SeriesInstanceUid>1.2.3</SeriesInstanceUid>
<StudyInstanceUID>1.2</StudyInstanceUID></ResponseHeader><readingSession><servicingRadiologistID>7</servicingRadiologistID>
<nonNodule><nonNoduleID>n</nonNoduleID><imageZposition>-10</imageZposition><imageSOP_UID>1.2.3.4</imageSOP_UID>
<locus><xCoord>5</xCoord><yCoord>6</yCoord></locus></nonNodule></readingSession></LidcReadMessage>"""


@pytest.fixture
def reading(tmp_path):
    (tmp_path / "a.xml").write_text(READING)
    return read_lidc_xml(tmp_path / "a.xml")


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.manufacturer.split()[0])
def test_every_scanner_gives_the_same_hounsfield_units(tmp_path, reading, scanner):
    series = write_ct(tmp_path / "s", reading, patient="p", pixel_mm=1.0, matrix=40, margin=2, scanner=scanner)
    scan = read_dicom_series(tmp_path / "s")
    np.testing.assert_array_equal(scan.array[0], series.hounsfield[:, ::-1, ::-1])
    assert np.median(scan.array[0, :, 10:30, 10:30]) == pytest.approx(LUNG_HU, abs=5)
    assert scan.header["manufacturer"] == scanner.manufacturer
    corner = int(scan.array[0, 0, 0, 0])
    assert corner == scanner.padding + scanner.intercept if scanner.padding else abs(corner - LUNG_HU) < 150


@pytest.mark.parametrize(
    ("fault", "reason"), [("gap", "1 slices are missing"), ("double", "at the same place"), ("copy", "")]
)
def test_faults_are_what_readers_refuse(tmp_path, reading, fault, reason):
    write_ct(tmp_path / "s", reading, patient="p", pixel_mm=1.0, matrix=32, margin=4, fault=fault)
    if reason:
        with pytest.raises(FileRefused, match=reason):
            read_dicom_series(tmp_path / "s")
    else:
        scan = read_dicom_series(tmp_path / "s")
        assert scan.array.shape[1] == 9
        assert any("copies" in remark for remark in scan.remarks)


def test_what_cannot_be_written_is_named(tmp_path, reading):
    with pytest.raises(ProtocolError, match="gap, copy, double"):
        write_ct(tmp_path / "s", reading, patient="p", pixel_mm=1.0, fault="tilt")
    with pytest.raises(CohortError, match="larger matrix"):
        write_ct(tmp_path / "s", reading, patient="p", pixel_mm=1.0, matrix=6)
