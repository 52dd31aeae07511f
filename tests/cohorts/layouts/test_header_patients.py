"""Patients by DICOM headers: in place of a silent source, beside a stating one, and never from placeholders."""

import importlib.util
from pathlib import Path

import numpy as np
import pydicom
import pytest

from equipoise.cohorts.cohort import Case
from equipoise.cohorts.layouts.folders import folders
from equipoise.cohorts.layouts.header_patients import header_patients, owners_of, without_shared_name
from equipoise.cohorts.layouts.manifest import manifest
from equipoise.cohorts.splits.leakage import Leak, find_leaks
from equipoise.cohorts.splits.split import Fold
from equipoise.errors import CohortError

spec = importlib.util.spec_from_file_location(
    "orientations", Path(__file__).parents[1] / "formats" / "test_dicom_orientations.py"
)
orientations = importlib.util.module_from_spec(spec)
spec.loader.exec_module(orientations)
RNG = np.random.default_rng(0)


def picture(path, patient, study):
    """One DICOM file of noise, of that patient and study."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent / "tmp"
    orientations.write_series(folder, RNG.integers(0, 999, (1, 24, 24)), np.eye(3))
    data = pydicom.dcmread(folder / "00.dcm")
    data.PatientID, data.StudyInstanceUID = patient, study
    data.SeriesInstanceUID = data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = (
        f"{study}.{path.stem[1:]}"
    )
    data.save_as(path)
    (folder / "00.dcm").unlink()
    folder.rmdir()


def table(root, rows, patients=True):
    lines = ["case,patient,image,label" if patients else "case,image,label"]
    for index, (column, patient, study) in enumerate(rows):
        picture(root / f"i{index}.dcm", patient, study)
        lines.append(",".join([f"c{index}", *([column] if patients else []), f"i{index}.dcm", str(index % 2)]))
    (root / "m.csv").write_text("\n".join(lines) + "\n")
    return manifest(root / "m.csv")


ROWS = [("A", "P1", "1.1"), ("B", "P1", "1.2"), ("C", "P2", "1.3"), ("D", "P3", "1.4")]


def fold_of(train, test):
    return Fold(np.array(train), np.array([], dtype=np.int64), np.array(test))


def test_a_source_without_patients_takes_those_of_the_headers(tmp_path):
    cohort = table(tmp_path, ROWS, patients=False)
    assert cohort.patients.tolist() == ["P1", "P1", "P2", "P3"]
    assert cohort.patients_known
    assert any("PatientID" in note for note in cohort.notes)
    assert not any("states no patients:" in note for note in cohort.notes)


def test_class_folders_of_files_take_them_too(tmp_path):
    for index, (_, patient, study) in enumerate(ROWS):
        picture(tmp_path / "ab"[index % 2] / f"i{index}.dcm", patient, study)
    cohort = folders(tmp_path)
    assert sorted(cohort.patients.tolist()) == ["P1", "P1", "P2", "P3"]


@pytest.mark.long
def test_a_column_that_contradicts_the_headers_leaks_and_is_said(tmp_path):
    cohort = table(tmp_path, ROWS)
    assert cohort.patients.tolist() == ["A", "B", "C", "D"]
    assert "one PatientID in the DICOM headers belongs to several patients" in cohort.remarks[0].text
    assert cohort.remarks[0].first == "c0"
    assert Leak("c0", "c1", "patient") in find_leaks(cohort, fold_of([0, 2], [1, 3]))
    assert find_leaks(cohort, fold_of([0, 1], [2, 3])) == []


@pytest.mark.long
def test_one_study_under_two_names_leaks(tmp_path):
    rows = [("A", "P1", "1.1"), ("B", "Q1", "1.1"), ("C", "P2", "1.3"), ("D", "P3", "1.4")]
    cohort = table(tmp_path, rows)
    assert Leak("c0", "c1", "study") in find_leaks(cohort, fold_of([0, 2], [1, 3]))
    assert "StudyInstanceUID" in cohort.remarks[0].text


@pytest.mark.long
@pytest.mark.parametrize("name", ["ANONYMOUS", "anon", "", "0", "000", "Unknown", "N/A", "xxxx", "none", "P1"])
def test_one_name_for_everybody_names_nobody(tmp_path, name):
    cohort = table(tmp_path, [(column, name, study) for column, _, study in ROWS])
    assert find_leaks(cohort, fold_of([0, 2], [1, 3])) == []
    assert cohort.remarks == ()
    silent = [Case("a", "a", lambda: None, owners={"patient": name, "study": study}) for _, _, study in ROWS]
    assert all("patient" not in owner for owner in without_shared_name([case.owners for case in silent]))


def test_studies_stand_in_for_patients_as_guesses(tmp_path):
    rows = [("", "anonymized", "1.1"), ("", "anonymized", "1.1"), ("", "anonymized", "1.2"), ("", "anonymized", "1.3")]
    cohort = table(tmp_path, rows, patients=False)
    assert len(set(cohort.patients.tolist())) == 3
    assert (cohort.patients_known, cohort.patients_guessed) == (False, True)
    assert any("StudyInstanceUID" in note for note in cohort.notes)


def test_patients_of_one_header_in_several_studies_are_one(tmp_path):
    cohort = table(
        tmp_path, [("", "P1", "1.1"), ("", "P1", "1.2"), ("", "P2", "1.3"), ("", "P2", "1.3")], patients=False
    )
    assert cohort.patients.tolist() == ["P1", "P1", "P2", "P2"]


def test_headers_that_tell_of_some_cases_only_are_not_believed():
    assert header_patients([{"patient": "P1", "study": "1"}, {}]).patients is None
    assert header_patients([{"patient": "P1"}, {"patient": "P2"}]).patients == ("P1", "P2")


def test_other_formats_have_no_owners():
    from equipoise.cohorts.formats.scan import Scan

    assert owners_of(Scan(np.zeros((1, 2, 2)), (1.0, 1.0), None, {})) == {}


@pytest.mark.long
def test_a_column_names_the_series_of_a_folder_of_several(tmp_path):
    truth = {}
    for index in range(2):
        folder = tmp_path / f"s{index}"
        for series in (1, 2):
            pixels = RNG.integers(0, 999, (4, 24, 24))
            truth[index, series] = pixels
            for k, image in enumerate(orientations.write_series(folder / str(series), pixels, np.eye(3))):
                image.SeriesInstanceUID = f"1.2.{index}.{series}"
                image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.{index}.{series}.{k}"
                image.save_as(folder / str(series) / f"{(k * 7) % 11:02d}.dcm", enforce_file_format=True)
    rows = ["case,patient,image,label", "a,a,s0,x", "b,b,s1,y"]
    (tmp_path / "m.csv").write_text("\n".join(rows))
    with pytest.raises(CohortError, match="2 series: .* column series_uid of a manifest"):
        manifest(tmp_path / "m.csv")
    rows = ["case,patient,image,label,series_uid", "a,a,s0,x,1.2.0.2", "b,b,s1,y,1.2.1.1"]
    (tmp_path / "m.csv").write_text("\n".join(rows))
    cohort = manifest(tmp_path / "m.csv")
    for case, key in zip(cohort.cases, ((0, 2), (1, 1)), strict=True):
        assert np.array_equal(case.read().array[0][:, ::-1, ::-1], truth[key])
