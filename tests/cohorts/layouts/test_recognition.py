import json

import numpy as np
import pytest
from PIL import Image as Picture

from equipoise.cohorts.layouts.recognition import recognise
from equipoise.errors import CohortError


def touch(folder, *names):
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


LAYOUTS = {
    "brats": ["BraTS2021_00001/BraTS2021_00001_seg.nii.gz", "BraTS2021_00001/BraTS2021_00001_t1.nii.gz"],
    "folders": ["benign/1.png", "benign/2.png", "malignant/3.png"],
    "lidc": ["LIDC-IDRI-0001/a/1.dcm", "LIDC-IDRI-0001/a/069.xml"],
}


@pytest.mark.parametrize("source", LAYOUTS)
def test_layouts_are_told_by_their_names(tmp_path, source):
    touch(tmp_path, *LAYOUTS[source])
    assert recognise(tmp_path).source == source


def test_a_folder_per_class_below_official_parts_is_taken_as_given(tmp_path):
    touch(tmp_path, *(f"{part}/{name}/1.png" for part in ("train", "val", "test") for name in ("benign", "malignant")))
    found = recognise(tmp_path)
    assert (found.source, found.scheme, len(found.images)) == ("folders", "given", 6)
    assert not found.patients_known


def test_a_folder_of_masks_is_no_class(tmp_path):
    touch(tmp_path, "pictures/a.png", "masks/b.png")
    with pytest.raises(CohortError, match=r"has a folder masks, which is not a class.* manifest.csv"):
        recognise(tmp_path)


@pytest.mark.parametrize(
    ("description", "source"),
    [
        ({"training": [{"image": f"{n}.nii", "label": f"m{n}.nii"} for n in range(40)]}, "decathlon"),
        ({"channel_names": {"0": "CT"}}, "nnunet"),
    ],
)
def test_dataset_json(tmp_path, description, source):
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    touch(tmp_path, *(f"imagesTr/{number:03d}_0000.nii.gz" for number in range(40)))
    found = recognise(tmp_path)
    assert (found.source, found.task) == (source, "segmentation")
    assert len(found.images) == 10, "some of them, evenly spaced"


def test_manifests(tmp_path):
    table = tmp_path / "manifest.csv"
    table.write_text("case,patient,image,label\na,p,a.png,0\n")
    assert recognise(table).task == recognise(tmp_path).task == "classification"
    assert recognise(table).images == (tmp_path / "a.png",)
    assert recognise(tmp_path).settings == {"path": str(table)}
    table.write_text("case,image_t1,mask,part\na,a.nii,m.nii,train\nb,b.nii,,test\n")
    found = recognise(table)
    assert (found.task, found.patients_known, found.scheme) == ("segmentation", False, "given")
    assert found.masks == (tmp_path / "m.nii",)
    table.write_text("name,picture\na,b\n")
    with pytest.raises(
        CohortError, match="has the columns name, picture, and none is recognised as the one that holds the images"
    ):
        recognise(table)


def test_arrays_with_their_labels_masks_and_patients(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, **{f"{p}_{k}": np.zeros(1) for p in ("train", "val", "test") for k in ("images", "labels")})
    assert recognise(file).scheme == "given"
    np.savez(file, images=np.zeros((2, 4, 4)), labels=np.zeros(2), patient=np.zeros(2))
    found = recognise(file)
    assert (found.source, found.task, found.patients_known) == ("arrays", "classification", True)
    assert found.settings == {"images": "images", "labels": "labels", "groups": "patient"}
    np.savez(file, images=np.zeros((2, 4, 4)), masks=np.zeros((2, 4, 4)))
    (tmp_path / "a.csv").write_text("subject_id,age\np,4\nq,5\n")
    found = recognise(file)
    assert found.settings == {"images": "images", "table": "a.csv", "masks": "masks", "groups": "subject_id"}
    np.savez(file, pictures=np.zeros((2, 4, 4)))
    with pytest.raises(CohortError, match="holds the arrays pictures, whose names do not show"):
        recognise(file)


def test_a_folder_that_holds_one_file_of_arrays(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, images=np.zeros((2, 4, 4)), masks=np.zeros((2, 4, 4)))
    (tmp_path / "a.csv").write_text("subject_id,age\np,4\nq,5\n")
    found = recognise(tmp_path)
    assert (found.source, found.task) == ("arrays", "segmentation")
    assert found.settings == {
        "path": str(file),
        "table": "a.csv",
        "images": "images",
        "masks": "masks",
        "groups": "subject_id",
    }
    np.savez(tmp_path / "b.npz", images=np.zeros((2, 4, 4)), masks=np.zeros((2, 4, 4)))
    with pytest.raises(CohortError, match=r"2 files of arrays \(a.npz, b.npz\); give one of them: `equipoise init"):
        recognise(tmp_path)


@pytest.mark.long
def test_real_files(shared_data):
    assert recognise(shared_data / "brats").source == "brats"
    assert recognise(shared_data / "adrenalmnist3d" / "adrenalmnist3d.npz").source == "medmnist"
    cheng = recognise(shared_data / "cheng_t1c_128" / "cheng_brain_t1c_128_dev.npz")
    assert (cheng.source, cheng.settings["labels"], cheng.patients_known) == ("arrays", "labels", False)


@pytest.mark.parametrize("make", ["missing", "empty", "prose", "broken"])
def test_what_is_not_recognised_is_told_what_is(tmp_path, make):
    place = tmp_path / "x"
    if make == "prose":
        place.write_text("hello")
    elif make != "missing":
        place.mkdir()
    if make == "broken":
        (place / "dataset.json").write_text("{")
    with pytest.raises(CohortError) as caught:
        recognise(place)
    assert "\n" not in str(caught.value)
    assert str(place) in str(caught.value)


def test_pictures_are_told_by_their_names_alone(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Picture.new("L", (4, 4)).save(tmp_path / name / "1.PNG", format="PNG")
    assert recognise(tmp_path).source == "folders"


def test_images_of_one_class_are_told(tmp_path):
    touch(tmp_path / "cat", "a.png", "b.png")
    for folder in (tmp_path, tmp_path / "cat"):
        with pytest.raises(CohortError, match="2 images in one folder, .* only one class"):
            recognise(folder)
