"""A folder for each class is told from a folder for each patient, and from folders of masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from equipoise.errors import CohortError


def dicom(path: Path, patient: str, series: str, z: float | None, seed: int = 0) -> Path:
    """One CT slice of 8 × 6, or a picture without a place where z is None; written with pydicom."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.PatientID, data.StudyInstanceUID, data.SeriesInstanceUID = patient, f"{series}.9", series
    data.Modality, data.Rows, data.Columns, data.SamplesPerPixel = "CT", 8, 6, 1
    data.PhotometricInterpretation, data.BitsAllocated, data.BitsStored, data.HighBit = "MONOCHROME2", 16, 16, 15
    data.PixelRepresentation, data.RescaleSlope, data.RescaleIntercept = 0, 1, -1024
    if z is not None:
        data.ImagePositionPatient, data.ImageOrientationPatient = [0.0, 0.0, z], [1, 0, 0, 0, 1, 0]
        data.FrameOfReferenceUID, data.SliceThickness = f"{series}.8", 2.5
    data.PixelSpacing = [0.8, 0.8]
    rng = np.random.default_rng([seed, int(10 * (z or 0)), *series.encode()])
    data.PixelData = rng.integers(0, 2000, (8, 6)).astype(np.uint16).tobytes()
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


@pytest.mark.long
def test_a_series_is_one_case_and_its_header_knows_the_patient(tmp_path: Path, started: Callable) -> None:
    for number, name in enumerate(("benign", "malignant")):
        for n in range(4):
            patient = f"P{4 * number + n // 2}"  # two series of each patient
            for k in range(5):
                dicom(tmp_path / name / f"export{n}" / "CT" / f"1-{k}.dcm", patient, f"1.2.{number}.{n}", 2.5 * k)
    protocol, cohort = started(tmp_path)
    assert (len(cohort), cohort.class_counts()) == (8, {"benign": 4, "malignant": 4})
    assert sorted(set(cohort.patients)) == ["P0", "P1", "P4", "P5"]
    assert cohort.patients_known
    assert protocol.split.patients == "stated"
    image = cohort.cases[0].read()
    assert image.array.shape == (1, 5, 8, 6)
    assert image.spacing_mm == (2.5, 0.8, 0.8)
    assert len(cohort.cases[0].sha256) == 5


@pytest.mark.long
@pytest.mark.parametrize("ending", ["", ".dicom", ".IMA", ".dcm"])
def test_dicom_under_any_name_is_told_by_its_mark(tmp_path: Path, started: Callable, ending: str) -> None:
    for name in ("norm", "path"):
        for n in range(4):
            dicom(tmp_path / name / f"IM{n:04d}{ending}", f"{name}{n}", f"1.2.{n}.{len(name)}.{ord(name[0])}", 0.0)
        (tmp_path / name / "README").write_text("no image")
    _, cohort = started(tmp_path)
    assert cohort.class_counts() == {"norm": 4, "path": 4}
    assert len(set(cohort.patients)) == 8


@pytest.mark.long
def test_pictures_of_one_series_without_a_place_are_cases_by_themselves(tmp_path: Path, started: Callable) -> None:
    for number, name in enumerate(("norm", "path")):
        for n in range(3):
            dicom(tmp_path / name / f"{n}.dcm", f"Q{number}{n // 2}", f"1.3.{number}", None, seed=n)
    _, cohort = started(tmp_path)
    assert len(cohort) == 6
    assert sorted(set(cohort.patients)) == ["Q00", "Q01", "Q10", "Q11"]
    assert cohort.spatial_dims == 2


@pytest.mark.long
def test_two_series_in_one_folder_are_two_cases(tmp_path: Path, started: Callable) -> None:
    for number, name in enumerate(("norm", "path")):
        for n in range(2):
            for series in range(2):
                for k in range(3):
                    uid = f"1.4.{number}.{n}.{series}"
                    dicom(tmp_path / name / f"p{number}{n}" / f"{series}-{k}.dcm", f"p{number}{n}", uid, 2.0 * k)
    _, cohort = started(tmp_path)
    assert len(cohort) == 8
    assert cohort.problems == ()
    assert len(set(cohort.patients)) == 4


@pytest.mark.long
def test_one_id_for_all_is_no_patient(tmp_path: Path, started: Callable) -> None:
    for number, name in enumerate(("norm", "path")):
        for n in range(3):
            dicom(tmp_path / name / f"{n}.dcm", "ANONYMOUS", f"1.5.{number}.{n}", 0.0)
    protocol, cohort = started(tmp_path)
    assert len(set(cohort.patients)) == 6
    assert not cohort.patients_known
    assert protocol.split.patients == "guessed"


@pytest.mark.long
def test_masks_beside_the_images_of_classes_are_left_out_and_said(tmp_path: Path, write, started: Callable) -> None:
    for name in ("benign", "malignant", "normal"):
        for n in range(1, 5):
            write.picture(tmp_path / name / f"{name} ({n}).png")
            write.picture(tmp_path / name / f"{name} ({n})_mask.png", (0, 255))
    write.picture(tmp_path / "benign" / "benign (1)_mask_1.png", (0, 255))
    protocol, cohort = started(tmp_path)
    assert cohort.class_counts() == {"benign": 4, "malignant": 4, "normal": 4}
    assert "13 masks that lie beside their images were left out" in cohort.notes[-1]
    assert "--set task=segmentation" in protocol.text


@pytest.mark.long
def test_folders_of_masks_within_classes_are_left_out(tmp_path: Path, write, started: Callable) -> None:
    for name in ("COVID", "Normal"):
        for n in range(4):
            write.picture(tmp_path / name / "images" / f"{name}-{n}.png")
            write.picture(tmp_path / name / "masks" / f"{name}-{n}.png", (0, 255))
    _, cohort = started(tmp_path)
    assert cohort.class_counts() == {"COVID": 4, "Normal": 4}


@pytest.mark.long
@pytest.mark.parametrize(
    "names",
    [
        ("patient_1", "patient_2"), ("s0001", "s0002", "s0003"), ("case-7", "case-9"), ("P1", "P2", "P3"),
        ("1023", "4711"),
        ("1.2.840.113619.2.55", "1.2.840.113619.2.56"), ("sub-01", "sub-02"), ("fold1", "fold2"),
        ("LIDC-IDRI-0001", "LIDC-IDRI-0002"),
    ],
)  # fmt: skip
def test_folders_called_as_patients_are_no_classes(
    tmp_path: Path, write, started: Callable, names: tuple[str, ...]
) -> None:
    for name in names:
        for n in range(3):
            write.picture(tmp_path / name / f"{n}.png")
    with pytest.raises(
        CohortError, match="look like one for each case or patient .*manifest.csv, or if they are classes say so"
    ):
        started(tmp_path)
    _, cohort = started(tmp_path, classes=list(names))
    assert len(cohort) == 3 * len(names)


def test_folders_that_hold_the_same_channels_are_no_classes(tmp_path: Path, write, started: Callable) -> None:
    for name in ("anna", "bert", "carla"):
        for kind in ("t1", "flair"):
            write.volume(tmp_path / name / f"{name}_{kind}.nii.gz")
    with pytest.raises(CohortError, match="look like one for each case or patient"):
        started(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(
    "names",
    [
        ("0", "1", "2", "3", "4"), ("grade1", "grade2"), ("class_0", "class_1"), ("BI-RADS 2", "BI-RADS 4"),
        ("T1", "T2"), ("with_mask", "without_mask"), ("benign", "malignant"), ("stage-1", "stage-2"),
    ],
)  # fmt: skip
def test_classes_with_numbers_or_odd_words_stay_classes(
    tmp_path: Path, write, started: Callable, names: tuple[str, ...]
) -> None:
    for name in names:
        for n in range(3):
            write.picture(tmp_path / name / f"{name}_{n}.png")
    _, cohort = started(tmp_path)
    assert cohort.classes == names


@pytest.mark.long
def test_archives_of_kaggle(tmp_path: Path, write, started: Callable) -> None:
    """One folder in another, official parts, a test part without classes, and what an archive of macOS holds."""
    root = tmp_path / "archive" / "chest_xray"
    for part in ("train", "val", "test"):
        for name in ("NORMAL", "PNEUMONIA"):
            for n in range(3):
                write.picture(root / part / name / f"{part}{n}.jpeg")
    write.picture(tmp_path / "archive" / "__MACOSX" / "chest_xray" / "train" / "NORMAL" / "._train0.png")
    protocol, cohort = started(tmp_path)
    assert protocol.split.scheme == "given"
    assert cohort.class_counts() == {"NORMAL": 9, "PNEUMONIA": 9}
    for n in range(3):
        write.picture(tmp_path / "other" / "test" / f"{n}.png")
        for name in ("cats", "dogs"):
            write.picture(tmp_path / "other" / "train" / name / f"{name}{n}.png")
    protocol, cohort = started(tmp_path / "other")
    assert (protocol.split.scheme, len(cohort)) == ("holdout", 6)
    assert "3 images of no class were left out, first 'test/0.png'." in cohort.notes


def test_patients_named_in_paths_keep_together(tmp_path: Path, write, started: Callable) -> None:
    for name in ("benign", "malignant"):
        for n in range(4):
            write.picture(tmp_path / name / f"SOB_patient{n // 2}{name[0]}-{n}.png")
    protocol, cohort = started(tmp_path)
    assert protocol.split.patients == "stated"
    assert sorted(set(cohort.patients)) == ["patient0b", "patient0m", "patient1b", "patient1m"]
