"""DICOM series written by hand from a volume, in any orientation; and what other programs say of a DICOM file."""

import shutil
import subprocess

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

AXIAL, CORONAL, SAGITTAL = (0, 1, 2), (0, 2, 1), (1, 2, 0)
"""The voxel axes (0 x, 1 y, 2 z) that columns, rows and slices grow along."""


def turned(affine, degrees=(17, 23, 31)):
    """An affine turned about the three world axes."""
    a, b, c = np.radians(degrees)
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    result = np.eye(4)
    result[:3] = rx @ ry @ rz @ affine[:3]
    return result


def write_volume(folder, array, affine, order=AXIAL, flips=(False, True, False), series="1.2.3.1"):
    """Write whole numbers (z, y, x) with their affine (voxel x, y, z → RAS mm) as one file per plane.

    order: the voxel axes of columns, rows and slices. flips: which of them run against their voxel axis.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pixels = array.transpose(*(2 - axis for axis in reversed(order)))  # slice, row, column
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    steps, origin = lps[:3, list(order)].copy(), lps[:3, 3].copy()
    for k, flip in enumerate(flips):
        if flip:
            origin += steps[:, k] * (pixels.shape[2 - k] - 1)
            steps[:, k] *= -1
            pixels = np.flip(pixels, 2 - k)
    lengths = np.linalg.norm(steps, axis=0)
    for k, plane in enumerate(pixels):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{series}.{k + 1}"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", series, f"{series}.0"
        data.PatientID, data.PatientName, data.Modality = "P1", "Müller^Ä", "CT"
        data.SpecificCharacterSet = "ISO_IR 100"
        data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20240102", "101112", "1", ""
        data.PatientBirthDate, data.PatientSex, data.ReferringPhysicianName = "", "O", ""
        data.SeriesNumber, data.InstanceNumber = 1, k + 1
        data.ImagePositionPatient = [round(float(v), 6) for v in origin + steps[:, 2] * k]
        data.ImageOrientationPatient = [round(float(v), 8) for v in (steps[:, :2] / lengths[:2]).T.ravel()]
        data.PixelSpacing = [round(float(lengths[1]), 8), round(float(lengths[0]), 8)]
        data.SliceThickness = round(float(lengths[2]), 6)
        data.PhotometricInterpretation, data.SamplesPerPixel = "MONOCHROME2", 1
        data.Rows, data.Columns = plane.shape
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept = 1, 0
        data.PixelData = np.ascontiguousarray(plane).astype("<i2").tobytes()
        data["PixelData"].VR = "OW"
        data.save_as(folder / f"IM{(k * 37) % 1009:04d}", enforce_file_format=True)
    return folder


def errors_of(file):
    """The errors that dciodvfy finds in a DICOM file; the test is skipped where it is not installed."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy (of dicom3tools) is not installed")
    ended = subprocess.run([program, str(file)], capture_output=True, text=True, check=False, errors="replace")
    return [line for line in ended.stderr.splitlines() if line.startswith("Error")]
