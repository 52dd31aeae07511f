import json

import numpy as np
import pytest

from equipoise.cohorts.recognise import recognise
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


@pytest.mark.parametrize(
    ("description", "source"),
    [({"training": [{"image": "a", "label": "b"}]}, "decathlon"), ({"channel_names": {"0": "CT"}}, "nnunet")],
)
def test_dataset_json(tmp_path, description, source):
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    found = recognise(tmp_path)
    assert (found.source, found.task) == (source, "segmentation")


def test_tables_and_arrays(tmp_path):
    table = tmp_path / "manifest.csv"
    table.write_text("case,patient,image,label\n")
    assert recognise(table).task == recognise(tmp_path).task == "classification"
    table.write_text("case,patient,image,mask\n")
    assert recognise(table).task == "segmentation"
    np.savez(
        tmp_path / "a.npz", **{f"{p}_{k}": np.zeros(1) for p in ("train", "val", "test") for k in ("images", "labels")}
    )
    assert recognise(tmp_path / "a.npz").scheme == "given"


def test_real_files(shared_data):
    assert recognise(shared_data / "brats").source == "brats"
    assert recognise(shared_data / "adrenalmnist3d" / "adrenalmnist3d.npz").source == "medmnist"


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
