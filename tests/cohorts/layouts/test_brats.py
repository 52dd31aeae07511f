"""BraTS: real cases give the voxel counts counted directly; namings, codings and patients; problems are named."""

import pickle

import nibabel as nib
import numpy as np
import pytest

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.brats import NEW_NAMES, brats, patient_of
from equipoise.errors import CohortError, ProtocolError


def write_case(
    folder, case, *, joint="_", values=(0, 1, 2, 4), without=(), shape=(6, 5, 4), affine=None, dtype=np.int16
):
    rng = np.random.default_rng(len(case))
    place = folder / case
    place.mkdir(parents=True)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) if affine is None else affine
    for name in (*NEW_NAMES, "seg"):
        stored = NEW_NAMES.get(name, name) if joint == "-" else name
        data = rng.choice(values, shape) if name == "seg" else rng.integers(0, 900, shape)
        if name not in without:
            nib.save(nib.Nifti1Image(data.astype(dtype), affine), place / f"{case}{joint}{stored}.nii.gz")
    return place


def counted(path, enhancing):
    labels = np.asarray(nib.load(path).dataobj)
    return {"WT": (labels > 0).sum(), "TC": np.isin(labels, (1, enhancing)).sum(), "ET": (labels == enhancing).sum()}


@pytest.mark.long
def test_the_real_cases_give_the_counts_counted_directly(shared_data):
    cohort = brats(shared_data / "brats")
    assert [case.id for case in cohort.cases] == ["BraTS-GLI-00012-000", "BraTS2021_00006"]
    assert [case.patient for case in cohort.cases] == ["BraTS-GLI-00012", "BraTS2021_00006"]
    assert cohort.problems == ()
    assert cohort.spatial_dims == 3
    for case, enhancing in zip(cohort.cases, (3, 4), strict=True):
        image = case.read()
        segmentation = next((shared_data / "brats" / case.id).glob("*seg.nii.gz"))
        truth = counted(segmentation, enhancing)
        assert {name: np.isin(image.mask, values).sum() for name, values in cohort.regions.items()} == truth
        assert image.array.shape == (4, 155, 240, 240)
        assert len(case.sha256) == 5
        t1 = next(
            p for p in (shared_data / "brats" / case.id).iterdir() if p.name.endswith(("_t1.nii.gz", "-t1n.nii.gz"))
        )
        assert np.array_equal(image.array[0], np.asarray(nib.as_closest_canonical(nib.load(t1)).dataobj).T)


def test_both_namings_and_codings_lie_side_by_side(tmp_path):
    write_case(tmp_path, "BraTS20_Training_001")
    write_case(tmp_path, "BraTS-GLI-00001-000", joint="-", values=(0, 1, 2, 3))
    write_case(tmp_path, "BraTS-GLI-00001-001", joint="-", values=(0, 1, 2, 3))
    cohort = brats(tmp_path, modalities=("flair", "t1ce"))
    assert cohort.channels == ("flair", "t1ce")
    assert cohort.patients.tolist() == ["BraTS-GLI-00001", "BraTS-GLI-00001", "BraTS20_Training_001"]
    assert [case.attributes["naming"] for case in cohort.cases] == ["2023", "2023", "2017-2021"]
    for case in cohort.cases:
        image = case.read()
        assert set(np.unique(image.mask)) == {0, 1, 2, 3}
        assert image.array.shape == (2, 4, 5, 6)


def test_cases_travel_to_other_processes(tmp_path):
    write_case(tmp_path, "BraTS2021_00001")
    case = brats(tmp_path).cases[0]
    assert np.array_equal(pickle.loads(pickle.dumps(case.read))().array, case.read().array)


@pytest.mark.parametrize(
    ("case", "patient"),
    [
        ("Brats17_TCIA_105_1", "Brats17_TCIA_105"),
        ("Brats18_2013_10_1", "Brats18_2013_10"),
        ("BraTS19_CBICA_AAB_1", "BraTS19_CBICA_AAB"),
        ("BraTS20_Training_001", "BraTS20_Training_001"),
        ("BraTS2021_00006", "BraTS2021_00006"),
        ("BraTS-GLI-00012-000", "BraTS-GLI-00012"),
        ("BraTS-MET-00086-003", "BraTS-MET-00086"),
    ],
)
def test_patients_from_ids(case, patient):
    assert patient_of(case) == patient


@pytest.mark.long
def test_every_problem_is_named_and_can_be_excluded(tmp_path):
    write_case(tmp_path, "BraTS2021_00000")
    write_case(tmp_path, "BraTS2021_00001", without=("t1ce",))
    write_case(tmp_path, "BraTS2021_00002", without=("seg",))
    write_case(tmp_path, "BraTS2021_00003", values=(0, 3))
    moved = np.diag([-1.0, -1.0, 1.0, 1.0])
    moved[2, 3] = 2.0
    other = write_case(tmp_path, "BraTS2021_00004")
    nib.save(nib.Nifti1Image(np.zeros((6, 5, 4), np.uint8), moved), other / "BraTS2021_00004_seg.nii.gz")
    short = write_case(tmp_path, "BraTS2021_00005")
    nib.save(
        nib.Nifti1Image(np.zeros((6, 5, 3), np.uint8), np.diag([-1.0, -1, 1, 1])), short / "BraTS2021_00005_seg.nii.gz"
    )
    thick = write_case(tmp_path, "BraTS2021_00006")
    nib.save(
        nib.Nifti1Image(np.zeros((6, 5, 4), np.int16), np.diag([-1.0, -1, 2, 1])), thick / "BraTS2021_00006_t2.nii.gz"
    )
    cut = write_case(tmp_path, "BraTS2021_00007") / "BraTS2021_00007_seg.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-9])
    cohort = brats(tmp_path)
    assert [case.id for case in cohort.cases] == ["BraTS2021_00000"]
    reasons = {problem.case[-1]: problem for problem in cohort.problems}
    for number, (reason, file) in {
        "1": ("it is missing", "t1ce.nii.gz"),
        "2": ("the mask is missing", "seg.nii.gz"),
        "3": ("holds the label 3, the cohort knows 0, 1, 2, 4", "seg.nii.gz"),
        "4": ("lies up to 2 mm beside", "seg.nii.gz"),
        "5": ("its shape (3, 5, 6) differs from (4, 5, 6)", "seg.nii.gz"),
        "6": ("its spacing (2.0, 1.0, 1.0) mm differs", "t2.nii.gz"),
        "7": ("ends early", "seg.nii.gz"),
    }.items():
        assert reason in reasons[number].problem
        assert reasons[number].file.endswith(file)
        assert reasons[number].remedy
    without = brats(tmp_path, on_problem="exclude")
    assert without.problems == ()
    assert len(without.excluded) == 7
    assert len(without.cases) == 1


def test_a_stated_coding_overrides_the_naming(tmp_path):
    write_case(tmp_path, "BraTS2021_00001", values=(0, 3))
    assert set(np.unique(brats(tmp_path, coding="2023").cases[0].read().mask)) == {0, 3}


def test_a_file_that_changes_after_it_was_examined_is_refused(tmp_path):
    place = write_case(tmp_path, "BraTS2021_00001")
    case = brats(tmp_path).cases[0]
    nib.save(
        nib.Nifti1Image(np.ones((6, 5, 4), np.int16), np.diag([-1.0, -1, 1, 1])), place / "BraTS2021_00001_t2.nii.gz"
    )
    with pytest.raises(RefusedFile, match=r"\(case BraTS2021_00001\): it changed since the cohort was made"):
        case.read()


def test_the_fingerprint_stays_when_the_folder_moves(tmp_path):
    write_case(tmp_path / "a", "BraTS2021_00001")
    before = brats(tmp_path / "a").fingerprint()
    (tmp_path / "a").rename(tmp_path / "b")
    assert brats(tmp_path / "b").fingerprint() == before


def test_impossible_settings_and_empty_folders_say_what_to_do(tmp_path):
    with pytest.raises(CohortError, match="holds no BraTS case"):
        brats(tmp_path)
    with pytest.raises(ProtocolError, match="choose from t1, t1ce, t2, flair"):
        brats(tmp_path, modalities=("pet",))
    with pytest.raises(ProtocolError, match="cohort.coding"):
        brats(tmp_path, coding="1999")
    write_case(tmp_path, "BraTS2021_00001", without=("seg",))
    with pytest.raises(ProtocolError, match="cohort.on_problem"):
        brats(tmp_path, on_problem="ignore")
    with pytest.raises(CohortError, match="no case that can be used: .*the mask is missing"):
        brats(tmp_path)
