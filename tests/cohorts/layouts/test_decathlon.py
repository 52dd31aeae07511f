"""Lists of cases in a dataset.json: Decathlon tasks with linked files, and MONAI's datalists with or without labels."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.decathlon import decathlon
from equipoise.errors import ProtocolError


def describe(root: Path, **content) -> None:
    (root / "dataset.json").write_text(json.dumps(content))


@pytest.mark.long
def test_listed_files_may_be_links_to_a_store(tmp_path: Path, write, started: Callable) -> None:
    root = tmp_path / "Task02_Heart"
    for folder, values in (("imagesTr", None), ("labelsTr", (0, 1))):
        (root / folder).mkdir(parents=True)
        for n in range(4):
            link = root / folder / f"la_{n}.nii.gz"
            link.symlink_to(write.volume(tmp_path / "annex" / f"{folder}-{n}.nii.gz", values))
            (root / folder / f"._la_{n}.nii.gz").write_bytes(b"x")
    pairs = [{"image": f"./imagesTr/la_{n}.nii.gz", "label": f"./labelsTr/la_{n}.nii.gz"} for n in range(4)]
    describe(root, modality={"0": "MRI"}, labels={"0": "background", "1": "left atrium"}, training=pairs)
    protocol, cohort = started(root)
    assert protocol.cohort.source == "decathlon"
    assert cohort.classes == ("background", "left atrium")
    assert np.array_equal(cohort.cases[1].read().mask, write.stored(tmp_path / "annex" / "labelsTr-1.nii.gz"))
    for name in ("../annex/imagesTr-1.nii.gz", "/etc/passwd", "imagesTr/../../annex/x.nii.gz", "", 3):
        describe(
            root, modality={"0": "MRI"}, labels={"0": "b", "1": "a"}, training=[{"image": name, "label": "x.nii.gz"}]
        )
        with pytest.raises(RefusedFile, match="not a file below its folder"):
            decathlon(root)


@pytest.mark.long
def test_a_datalist_of_monai(tmp_path: Path, write, started: Callable) -> None:
    """No modality and no labels: channels from the files, classes from what the masks hold."""
    pairs = []
    for n in range(4):
        files = [write.volume(tmp_path / f"p{n}" / f"{kind}.nii.gz") for kind in ("ct", "pet")]
        mask = write.volume(tmp_path / f"p{n}" / "mask.nii.gz", (0, 1, 5))
        names = [str(file.relative_to(tmp_path)) for file in (*files, mask)]
        pairs.append({"fold": n % 2, "image": names[:2], "label": [names[2]]})
    describe(tmp_path, training=pairs[:3], validation=pairs[3:], testing=[])
    protocol, cohort = started(tmp_path)
    assert protocol.cohort.settings["values"] == [0, 1, 5]
    assert [case.id for case in cohort.cases] == [f"p{n}/ct" for n in range(4)], "names alone recur"
    assert [case.part for case in cohort.cases] == ["train"] * 3 + ["validation"]
    assert cohort.cases[1].attributes["fold"] == 1
    image = cohort.cases[2].read()
    assert np.array_equal(image.array[1], write.stored(tmp_path / "p2" / "pet.nii.gz"))
    assert np.array_equal(np.array([0, 1, 5])[image.mask], write.stored(tmp_path / "p2" / "mask.nii.gz"))
    with pytest.raises(ProtocolError, match="cohort.classes is missing, because the description has no"):
        decathlon(tmp_path)
    with pytest.raises(ProtocolError, match="give each class its own value"):
        decathlon(tmp_path, classes=["a", "b"], values=[0])


def test_a_datalist_of_classes(tmp_path: Path, write, started: Callable) -> None:
    pairs = [{"image": write.volume(tmp_path / f"{n}.nii.gz").name, "label": n % 2} for n in range(6)]
    describe(tmp_path, training=pairs)
    protocol, cohort = started(tmp_path)
    assert protocol.cohort.task == "classification"
    assert cohort.class_counts() == {"0": 3, "1": 3}
    with pytest.raises(RefusedFile, match="the label 1 of '1' is none of 0, 2; .* name all classes in cohort.classes"):
        decathlon(tmp_path, task="classification", classes=["0", "2"])


@pytest.mark.parametrize("stated", [{"classes": ["background", "b", "a"]}, {"values": [0, 2, 1]}, {"values": ["x"]}])
def test_classes_stated_beside_other_labels_of_the_description_are_refused(tmp_path: Path, stated: dict) -> None:
    def saved(path: Path, voxels: np.ndarray) -> None:
        nib.save(nib.Nifti1Image(voxels.astype(np.uint8), np.eye(4)), path)

    saved(tmp_path / "i.nii.gz", np.ones((4, 4, 2)))
    saved(tmp_path / "m.nii.gz", np.arange(32).reshape(4, 4, 2) % 3)
    own = {"labels": {"0": "background", "1": "a", "2": "b"}, "modality": {"0": "MRI"}}
    describe(tmp_path, **own, training=[{"image": "i.nii.gz", "label": "m.nii.gz"}])
    with pytest.raises(ProtocolError, match='the "labels" of .*dataset.json say'):
        decathlon(tmp_path, **stated)
    same = decathlon(tmp_path, classes=["background", "a", "b"], values=[0, 1, 2])
    assert same.classes == ("background", "a", "b")
