"""A DICOM series in, a segmentation beside it out, by the command."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
from deploy_bundles import make_bundle
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from equipoise import cli
from equipoise.cohorts.formats.dicom import read_dicom_series
from equipoise.cohorts.formats.dicom_seg import read_segmentation
from equipoise.deploy.dicom_source import uid
from equipoise.deploy.predict import predict


def write_sagittal(folder, pixels, series="1.2.3.1"):
    """One file per plane of (x, rows downwards, columns to the back)."""
    folder.mkdir(exist_ok=True)
    for k, plane in enumerate(pixels):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{series}.{k + 1}"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", series, "1.2.3.9"
        data.PatientID, data.Modality = "P1", "MR"
        data.ImagePositionPatient = [2.0 * k, 0.0, 50.0]
        data.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        data.PixelSpacing, data.SliceThickness = [1.0, 0.5], 2.0
        data.PhotometricInterpretation, data.SamplesPerPixel = "MONOCHROME2", 1
        data.Rows, data.Columns = plane.shape
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.PixelData = plane.astype("<u2").tobytes()
        data["PixelData"].VR = "OW"
        data.save_as(folder / f"{9 - k}.dcm", enforce_file_format=True)


@pytest.mark.long
def test_a_sagittal_series_gets_masks_on_its_own_slices(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 3, (6, 9, 8))
    write_sagittal(tmp_path / "scan", pixels)
    bundle = make_bundle(tmp_path / "bundle", sides=(9, 8, 6), spacing=(1.0, 0.5, 2.0))
    command = ["predict", str(bundle), str(tmp_path / "scan"), "--out", str(tmp_path / "out"), "--as", "nifti,seg"]
    assert cli.main([*command, "--quiet"]) == cli.DONE
    scan = read_dicom_series(tmp_path / "scan")
    segments = read_segmentation(tmp_path / "out" / "scan" / "seg.dcm", scan)
    assert segments.labels == ("organ", "lesion")
    for mask, value in zip(segments.masks, (1, 2), strict=True):
        assert np.array_equal(mask, scan.array[0] == value)
    nifti = nib.load(tmp_path / "out" / "scan" / "mask.nii.gz")
    # columns to the back, rows downwards, and slices along their normal, which points to the patient's right
    assert nib.aff2axcodes(nifti.affine) == ("P", "I", "R")
    assert np.array_equal(np.asarray(nifti.dataobj), pixels[::-1].transpose(2, 1, 0))
    data = pydicom.dcmread(tmp_path / "out" / "scan" / "seg.dcm", stop_before_pixels=True)
    assert (data.PatientID, data.PatientName) == ("P1", "")
    write_sagittal(tmp_path / "scan", pixels, series="1.2.3.2")
    (tmp_path / "scan" / "9.dcm").rename(tmp_path / "scan" / "other.dcm")
    write_sagittal(tmp_path / "scan", pixels)
    summary = predict(bundle, [tmp_path / "scan"], tmp_path / "out")
    assert "it holds 2 series" in summary.first_failure or "identity" in summary.first_failure


def test_identifiers_are_valid_and_follow_from_what_they_name():
    assert uid("a", "series") == uid("a", "series") != uid("a", "instance")
    assert pydicom.uid.UID(uid("a", "series")).is_valid
