"""CSV manifests: every column that the documentation names, every kind of file, every way to be wrong."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.manifest import manifest
from equipoise.cohorts.layouts.tables import number_or_text, read_table
from equipoise.errors import CohortError, ProtocolError

RNG = np.random.default_rng(0)


def volume(path, values=None, shape=(5, 4, 3), spacing=1.0):
    data = RNG.integers(0, 99, shape) if values is None else RNG.choice(values, shape)
    nib.save(nib.Nifti1Image(data.astype(np.int16), np.diag([-spacing, 1.0, 2.0, 1.0])), path)


def write(folder, *lines):
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    return folder / "m.csv"


def test_classification_with_modalities_parts_and_attributes(tmp_path):
    for name in "abcd":
        volume(tmp_path / f"{name}_pet.nii.gz")
        volume(tmp_path / f"{name}_ct.nii.gz")
    path = write(
        tmp_path,
        "case,patient,image_ct,image_pet,label,part,site,age",
        "a,P1,a_ct.nii.gz,a_pet.nii.gz,10,train,Ulm,61",
        "b,P1,b_ct.nii.gz,b_pet.nii.gz,9,train,Ulm,61",
        "c,P2,c_ct.nii.gz,c_pet.nii.gz,9,val,Bonn,47.5",
        'd,P3,d_ct.nii.gz,d_pet.nii.gz,10,test,"Köln, Nord",',
    )
    cohort = manifest(path)
    assert cohort.classes == ("9", "10")
    assert cohort.labels.tolist() == [1, 0, 0, 1]
    assert cohort.channels == ("ct", "pet")
    assert [case.part for case in cohort.cases] == ["train", "train", "validation", "test"]
    assert cohort.patients.tolist() == ["P1", "P1", "P2", "P3"]
    assert dict(cohort.cases[3].attributes) == {"site": "Köln, Nord", "age": ""}
    assert cohort.cases[2].attributes["age"] == 47.5
    assert cohort.patients_known
    image = cohort.cases[0].read()
    assert image.mask is None
    assert np.array_equal(image.array[1], np.asarray(nib.load(tmp_path / "a_pet.nii.gz").dataobj)[::-1].T)


def test_a_pattern_is_searched_in_the_column_of_patients(tmp_path):
    for name in ("a", "b"):
        Image.fromarray(RNG.integers(0, 255, (6, 7), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    path = write(tmp_path, "patient,image,label", "P1-L,a.png,0", "P1-R,b.png,1")
    assert manifest(path).patients.tolist() == ["P1-L", "P1-R"]
    assert manifest(path, patient_pattern="(.+)-[LR]$").patients.tolist() == ["P1", "P1"]
    with pytest.raises(CohortError, match="finds no group in 'P1-L'"):
        manifest(path, patient_pattern="(X)")
    path = write(tmp_path, "image,label", "a.png,0", "b.png,1")
    assert manifest(path, patient_pattern="([ab])").patients.tolist() == ["a", "b"]


def test_segmentation_with_pictures_and_palette_masks(tmp_path):
    for name in "ab":
        Image.fromarray(RNG.integers(0, 255, (6, 7, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
        mask = Image.fromarray(RNG.integers(0, 2, (6, 7), dtype=np.uint8)).convert("P")
        mask.putpalette([0, 0, 0, 255, 0, 0])
        mask.save(tmp_path / f"{name}_mask.png")
    path = write(tmp_path, "case,image,mask", "a,a.png,a_mask.png", "b,b.png,b_mask.png")
    cohort = manifest(path, task="segmentation", classes=["background", "tumour"])
    assert cohort.spatial_dims == 2
    assert cohort.channels == ("red", "green", "blue")
    assert not cohort.patients_known
    image = cohort.cases[0].read()
    assert np.array_equal(image.mask, np.asarray(Image.open(tmp_path / "a_mask.png")))
    assert set(cohort.cases[0].sha256) == {"a.png", "a_mask.png"}
    assert cohort.cases[0].truth_files == {"a_mask.png"}


def test_dicom_series_and_segmentation(shared_data, tmp_path):
    (tmp_path / "ct").mkdir()
    samples = shared_data / "dicom_samples" / "dcmqi_ct3_seg"
    for name in ("01", "02", "03"):
        (tmp_path / "ct" / f"{name}.dcm").symlink_to(samples / f"{name}.dcm")
    (tmp_path / "liver.dcm").symlink_to(samples / "seg_liver.dcm")
    path = write(tmp_path, "case,patient,image,mask", "x,P1,ct,liver.dcm")
    case = manifest(path, task="segmentation", classes=["background", "liver"]).cases[0]
    image = case.read()
    assert image.array.shape == (1, 3, 512, 512)
    assert image.mask.sum(axis=(1, 2)).tolist() == [36233, 35645, 35220]
    assert set(case.sha256) == {"ct/01.dcm", "ct/02.dcm", "ct/03.dcm", "liver.dcm"}
    assert case.truth_files == {"liver.dcm"}


def test_problems_are_named_per_case(tmp_path):
    for name in "abcde":
        volume(tmp_path / f"{name}.nii")
        volume(tmp_path / f"{name}_m.nii", (0, 1))
    volume(tmp_path / "b_m.nii", (0, 1), spacing=1.2)
    volume(tmp_path / "c_m.nii", (0, 5))
    (tmp_path / "d.nii").write_bytes(b"nothing")
    rows = ["case,image,mask", *(f"{name},{name}.nii,{name}_m.nii" for name in "abcd"), "e,e.nii,", "f,f.nii,a_m.nii"]
    cohort = manifest(write(tmp_path, *rows), task="segmentation", classes=["background", "tumour"])
    assert [case.id for case in cohort.cases] == ["a"]
    found = {problem.case: problem.problem for problem in cohort.problems}
    assert set(found) == set("bcdef")
    assert "spacing" in found["b"]
    assert "the label 5" in found["c"]
    assert "does not begin with a NIfTI header" in found["d"]
    assert found["e"] == "it has no mask"
    assert found["f"] == "it is missing"


@pytest.mark.parametrize(
    ("lines", "settings", "reason"),
    [
        (["case,label", "a,1"], {}, "no column 'image'"),
        (["case,image", "a,a.nii"], {}, "no column 'label'"),
        (["case,image,label", "a,a.nii,1"], {}, "at least two classes"),
        (["case,image,label,part", "a,a.nii,1,holdout", "b,b.nii,0,"], {}, "the part 'holdout'"),
        (["case,image,label", "a,a.nii,1", "b,b.nii,0"], {"classes": ["0", "2"]}, "has the label '1'"),
        (["case,image,label", ",a.nii,1", "b,b.nii,0"], {}, "row without a case"),
        (["case,image,mask", "a,a.nii,m.nii"], {"task": "segmentation"}, "cohort.classes is missing"),
        (["case,image,mask", "a,a.nii,m.nii"], {"task": "detection"}, "cohort.classes is missing"),
        (["case,image,label", "a,a.xyz,1", "b,b.xyz,0"], {}, "no case that can be used"),
    ],
)
def test_wrong_manifests_say_what_to_do(tmp_path, lines, settings, reason):
    (tmp_path / "a.xyz").write_text("x")
    with pytest.raises((CohortError, ProtocolError), match=reason):
        manifest(write(tmp_path, *lines), **settings)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"case,image\n", "no rows"),
        (b"case,case\na,b\n", "two columns of one name"),
        (b"case,image\na\n", "row 2 has 1 values for 2 columns"),
        (b"case,image\n\x81\xff,b\n", "not text in UTF-8, UTF-16 or Windows-1252"),
        (b'case,image\n"a,b\n', "not a CSV file"),
    ],
)
def test_broken_tables_are_refused(tmp_path, raw, reason):
    (tmp_path / "t.csv").write_bytes(raw)
    with pytest.raises(RefusedFile, match=reason):
        read_table(tmp_path / "t.csv")


def test_tables_of_spreadsheets_read(tmp_path):
    (tmp_path / "t.csv").write_bytes("\ufeffcase,image\r\n a , b \r\n\r\n".encode())
    assert read_table(tmp_path / "t.csv") == [{"case": "a", "image": "b"}]
    assert number_or_text("1e3") == 1000.0


def test_masks_may_store_other_values_than_0_1_2(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(tmp_path / "m.png")
    table = tmp_path / "m.csv"
    table.write_text("case,patient,image,mask\na,p,a.png,m.png\n")
    names = {"task": "segmentation", "classes": ["background", "lesion"]}
    assert manifest(table, values=[0, 255], **names).cases[0].read().mask.tolist() == [[1] * 4] * 4
    with pytest.raises(CohortError, match="holds the label 255"):
        manifest(table, **names)
    with pytest.raises(ProtocolError, match="give each class its own value"):
        manifest(table, values=[0], **names)


@pytest.mark.parametrize("header", ["case,patient,image,label,dx", "case,label,image,patient,subject_id"])
def test_a_manifest_asks_of_two_columns_that_could_be_one_role(tmp_path, header):
    (tmp_path / "t.csv").write_text(header + "\n0,a,0.png,a,b\n1,b,1.png,b,a\n")
    with pytest.raises(CohortError, match="which both could be the (label|patient) and differ"):
        manifest(tmp_path / "t.csv")
