"""Answers in DICOM beside segmentations: reports and structure sets, read back by other programs."""

import csv
import json

import highdicom as hd
import numpy as np
import pydicom
import pytest
from deploy_bundles import contract_for, make_bundle
from dicom_series import AXIAL, SAGITTAL, errors_of, turned, write_volume
from scipy.ndimage import gaussian_filter
from skimage.measure import points_in_poly

from equipoise.cohorts.formats.dicom import read_dicom_series
from equipoise.cohorts.formats.dicom_seg import read_segmentation
from equipoise.cohorts.formats.rtstruct import read_structures
from equipoise.deploy.contours import area_of, contours_of
from equipoise.deploy.dicom_report import private
from equipoise.deploy.dicom_structures import Loss
from equipoise.deploy.predict import predict
from equipoise.errors import EquipoiseError

SIDES, SPACING = (7, 18, 16), (2.5, 0.8, 0.6)  # z, y, x


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """An axial and an oblique sagittal series, and the folder of their answers in all of DICOM's kinds."""
    place = tmp_path_factory.mktemp("answered")
    values = gaussian_filter(np.random.default_rng(0).random(SIDES), 1.3)
    values = (3 * (values - values.min()) / np.ptp(values)).astype(int)
    values[3] = 0
    affine = np.diag([*SPACING[::-1], 1.0])
    affine[:3, 3] = (-11, 7, 3)
    write_volume(place / "axial", values, affine)
    write_volume(place / "oblique", values, turned(affine), SAGITTAL, (True, False, True))
    bundle = make_bundle(place / "bundle", sides=SIDES, spacing=SPACING)
    series = [place / "axial", place / "oblique"]
    predict(bundle, series, place / "out", formats="seg,labelmap,sr,rtstruct")
    return place


def row_of(out, case):
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return next(row for row in csv.DictReader(file) if row["case"] == case)


def masks_of(scan):
    return {"organ": scan.array[0] == 1, "lesion": scan.array[0] >= 2}


@pytest.mark.long
@pytest.mark.parametrize("case", ["axial", "oblique"])
def test_structure_sets_hold_the_mask_and_say_what_they_lose(answered, case):
    scan, file = read_dicom_series(answered / case), answered / "out" / case / "rtstruct.dcm"
    back, row = read_structures(file, scan, gaps="keep"), row_of(answered / "out", case)
    assert back.labels == ("organ", "lesion")
    for mask, (name, truth) in zip(back.masks, masks_of(scan).items(), strict=True):
        assert np.array_equal(mask, truth)
        assert float(row[f"{name}_rtstruct_dice"]) == 1.0
        planes = np.moveaxis(truth, scan.plane_axis, 0)
        area = sum(area_of(points) for plane in planes for points in contours_of(plane))
        assert float(row[f"{name}_rtstruct_volume_change"]) == pytest.approx(area / truth.sum() - 1, abs=2e-6)
    # the axial series has a slice without either structure between slices that have them
    assert ("programs that interpolate between slices fill them" in row["warnings"]) == (case == "axial")


@pytest.mark.long
def test_contours_lie_on_the_very_slices_that_they_name(answered):
    """By the standard alone: points in mm of the patient, on the plane of the referenced image."""
    scan = read_dicom_series(answered / "oblique")
    sources = {plane.sop_uid: pydicom.dcmread(plane.file) for plane in scan.planes}
    data = pydicom.dcmread(answered / "out" / "oblique" / "rtstruct.dcm")
    assert (data.PatientName, data.StudyInstanceUID, data.ApprovalStatus) == ("Müller^Ä", "1.2.3", "UNAPPROVED")
    assert "research only" in data.SeriesDescription
    inside = {uid: np.zeros((int(one.Rows), int(one.Columns)), bool) for uid, one in sources.items()}
    for contour in data.ROIContourSequence[1].ContourSequence:
        source = sources[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        points = np.array(contour.ContourData, float).reshape(-1, 3) - np.array(source.ImagePositionPatient, float)
        along, down = np.array(source.ImageOrientationPatient, float).reshape(2, 3)
        assert np.abs(points @ np.cross(along, down)).max() < 1e-3
        flat = np.c_[points @ down / source.PixelSpacing[0], points @ along / source.PixelSpacing[1]]
        shape = inside[source.SOPInstanceUID].shape
        inside[source.SOPInstanceUID] ^= points_in_poly(np.indices(shape).reshape(2, -1).T, flat).reshape(shape)
    for uid, mask in inside.items():
        assert np.array_equal(mask, sources[uid].pixel_array >= 2)


@pytest.mark.long
def test_reports_state_volumes_of_the_very_segments(answered):
    out = answered / "out" / "oblique"
    report, segmentation = hd.sr.srread(out / "sr.dcm"), hd.seg.segread(out / "seg.dcm")
    row = row_of(answered / "out", "oblique")
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["organ", "lesion"]
    for number, group in enumerate(groups, start=1):
        (volume,) = group.get_measurements()
        assert (volume.unit.value, volume.name.meaning) == ("mL", "Volume")
        assert volume.value == pytest.approx(float(row[f"{group.tracking_identifier}_ml"]), rel=1e-8)
        segment = group.referenced_segment
        assert segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert segment.referenced_segment_numbers == [number]
    assert (report.VerificationFlag, report.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    evidence = {
        one.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    planes = read_dicom_series(answered / "oblique").planes
    assert evidence == {segmentation.SOPInstanceUID, *(plane.sop_uid for plane in planes)}
    text = report.to_json()
    assert "research only: not a medical device" in text
    assert row["bundle"] in text


@pytest.mark.long
def test_a_map_of_labels_holds_what_the_binary_one_holds(answered):
    scan = read_dicom_series(answered / "axial")
    both = [read_segmentation(answered / "out" / "axial" / f"{name}.dcm", scan) for name in ("seg", "labelmap")]
    assert both[0].labels == both[1].labels == ("organ", "lesion")
    assert np.array_equal(both[0].masks, both[1].masks)
    assert np.array_equal(both[0].masks, np.stack(list(masks_of(scan).values())))


@pytest.mark.long
@pytest.mark.parametrize("name", ["seg", "sr", "rtstruct"])
def test_another_validator_finds_no_error(answered, name):
    for case in ("axial", "oblique"):
        assert errors_of(answered / "out" / case / f"{name}.dcm") == []


@pytest.mark.long
def test_reports_of_classes_and_of_candidates(answered):
    label = make_bundle(answered / "label", contract_for("label"), sides=SIDES, spacing=SPACING)
    predict(label, [answered / "axial"], answered / "classes", formats="sr")
    report = hd.sr.srread(answered / "classes" / "axial" / "sr.dcm")
    (group,) = report.content.get_image_measurement_groups()
    row = row_of(answered / "classes", "axial")
    told = {one.name.meaning: float(one.value) for one in group.get_measurements()}
    assert told == pytest.approx({f"Probability of {name}": 100 * float(row[f"p_{name}"]) for name in ("well", "ill")})
    assert {one.name.meaning: one.value.meaning for one in group.get_qualitative_evaluations()}[
        "Likeliest class"
    ] == "ill"
    assert row["class"] == "ill"
    spots = make_bundle(answered / "spots", contract_for("findings", threshold=0.6), sides=SIDES, spacing=SPACING)
    predict(spots, [answered / "oblique"], answered / "marks", formats="sr,json")
    report = hd.sr.srread(answered / "marks" / "oblique" / "sr.dcm")
    count, *groups = report.content.get_image_measurement_groups()
    marks = json.loads((answered / "marks" / "oblique" / "answer.json").read_text())["candidates"]
    assert float(count.get_measurements()[0].value) == len(groups) == len(marks) > 0
    planes = {plane.sop_uid: np.array(plane.position) for plane in read_dicom_series(answered / "oblique").planes}
    for group, mark in zip(groups, marks, strict=True):
        (measured,) = group.get_measurements()
        assert measured.value == pytest.approx(100 * mark["score"], rel=1e-6)
        place = measured.referenced_coordinates[0].value[0]
        assert np.allclose(place * (-1, -1, 1), mark["world_ras_mm"], atol=2e-3)
        assert {image.referenced_sop_instance_uid for image in group.source_images} <= set(planes)


def test_formats_that_an_answer_cannot_have_are_refused_first(tmp_path, pristine_bundle):
    label = make_bundle(tmp_path / "label", contract_for("label"))
    overlapping = make_bundle(tmp_path / "o", contract_for(regions={"all": (1, 2), "lesion": (2,)}))
    for bundle, name, text in ((label, "rtstruct", "predicts no masks"), (overlapping, "labelmap", "may overlap"),
                               (pristine_bundle, "rtstuct", "did you mean 'rtstruct'|nearest")):  # fmt: skip
        with pytest.raises(EquipoiseError, match=text):
            predict(bundle, [tmp_path], tmp_path.parent / "out", formats=name)
    assert Loss(0.98, 0.0).warning("organ").startswith("the contours of organ differ in shape")
    assert Loss(1.0, -0.2).warning("organ") != ""
    assert Loss(0.995, 0.04).warning("organ") == ""


def test_a_class_has_one_code_in_all_reports():
    value, scheme, meaning = private("adenocarcinoma", "Probability of adenocarcinoma")
    assert private("adenocarcinoma", "other")[0] == value != private("other", "other")[0]
    assert (len(value) <= 16, scheme.startswith("99"), meaning) == (True, True, "Probability of adenocarcinoma")


@pytest.mark.long
def test_a_single_structure_is_reported(answered, tmp_path):
    contract = contract_for(regions={"lesion": (2,)})
    bundle = make_bundle(tmp_path / "bundle", contract, sides=SIDES, spacing=SPACING)
    summary = predict(bundle, [answered / "axial"], tmp_path / "out", formats="seg,sr")
    assert (summary.answered, summary.failed) == (1, 0)
    report = hd.sr.srread(tmp_path / "out" / "axial" / "sr.dcm")
    [group] = report.content.get_volumetric_roi_measurement_groups()
    [volume] = group.get_measurements()
    assert volume.value == pytest.approx(float(row_of(tmp_path / "out", "axial")["lesion_ml"]), rel=1e-8)


@pytest.mark.long
def test_an_empty_answer_is_an_answer_in_every_kind(tmp_path):
    affine = np.diag([*SPACING[::-1], 1.0])
    write_volume(tmp_path / "scan", np.zeros(SIDES, int), affine, AXIAL)
    bundle = make_bundle(tmp_path / "bundle", sides=SIDES, spacing=SPACING)
    summary = predict(bundle, [tmp_path / "scan"], tmp_path / "out", formats="sr,rtstruct,labelmap")
    assert (summary.answered, summary.failed) == (1, 0)
    assert float(row_of(tmp_path / "out", "scan")["organ_rtstruct_dice"]) == 1.0
    assert not hasattr(
        pydicom.dcmread(tmp_path / "out" / "scan" / "rtstruct.dcm").ROIContourSequence[0], "ContourSequence"
    )
    again = predict(bundle, [tmp_path / "scan"], tmp_path / "out", formats="sr,rtstruct,labelmap")
    assert again.resumed == 1
