"""Patterns that a user states to `init`: one text is one pattern, and fields of one side are those of the other."""

import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.layouts.patients import leading_pattern
from equipoise.cohorts.layouts.recognition import recognise
from equipoise.cohorts.sources import load
from equipoise.errors import CohortError, EquipoiseError, ProtocolError
from equipoise.protocol import CohortSection, Protocol
from equipoise.trials.init import _of_data, start

IMAGES, MASK = "images/{patient}_{case}.png", "masks/{patient}_{case}.png"


@pytest.fixture
def folder(tmp_path):
    for part, value in (("images", 7), ("masks", 1)):
        (tmp_path / part).mkdir()
        for patient in range(3):
            for number in range(2):
                array = np.zeros((4, 4), np.uint8)
                array[0, 0] = value
                Image.fromarray(array).save(tmp_path / part / f"p{patient:04d}_{patient + 3 * number:04d}.png")
    return tmp_path


@pytest.mark.parametrize(
    "keys", [{"images": IMAGES}, {"images": [IMAGES]}, {"mask": MASK}, {"images": IMAGES, "mask": MASK}]
)
def test_fields_of_one_side_are_those_of_the_other(folder, keys):
    known = _of_data(folder, keys)
    images = known.settings["images"]
    assert ([images] if isinstance(images, str) else images, known.settings["mask"]) == ([IMAGES], MASK)
    assert known.patients == "stated"
    section = CohortSection.model_validate({"source": known.source, **known.settings})
    assert set(load(section, folder).patients) == {"p0000", "p0001", "p0002"}


def test_without_fields_of_patients_they_are_guessed(folder):
    known = _of_data(folder, {"images": "images/{case}.png"})
    assert (known.settings["mask"], known.patients) == ("masks/{case}.png", "guessed")


def test_a_text_in_place_of_a_list_is_refused(folder):
    with pytest.raises(EquipoiseError, match="is one text; write a list"):
        _of_data(folder, {"classes": "background"})
    section = {"source": "pairs", "images": IMAGES, "mask": MASK, "task": "segmentation"}
    with pytest.raises(ProtocolError, match=r"cohort.classes is the text 'abc'; write a list"):
        load(CohortSection(**section, classes="abc"), folder)


def test_a_path_that_does_not_exist_names_the_one_that_is_meant(folder):
    section = CohortSection(source="pairs", task="segmentation", images=IMAGES, mask=MASK, classes=["a", "b"])
    (folder / "brains2").mkdir()
    with pytest.raises(CohortError, match=r"cohort.path: .*brains_2 does not exist: .* did you mean 'brains2'"):
        load(section, folder / "brains_2")
    with pytest.raises(CohortError, match=r"holds no 'brains_2'; did you mean 'brains2'"):
        recognise(folder / "brains_2" / "below", {})


@pytest.mark.long
def test_names_that_begin_with_a_recurring_number_suggest_a_pattern(folder):
    """p0000_0000, p0000_0003, p0001_0001 …: said, and never used without being stated."""
    begun = start(str(folder), folder / "trial.toml")
    assert "look like PATIENT_IMAGE: if they are, add --set patient_pattern='([^/_]+)_[^/]*$'." in begun.sentences[-1]
    assert "p0000" not in begun.file.read_text()
    again = start(str(folder), folder / "again.toml", {"patient_pattern": "([^/_]+)_[^/]*$"})
    assert not any("no patients" in sentence for sentence in again.sentences)
    assert Protocol.load(again.file).split.patients == "stated"


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["p1-a", "p1-b", "p2-a"], "([^/-]+)-[^/]*$"),
        (["benign_1", "benign_2", "malignant_1"], None),
        (["img_1", "img_2", "img_3"], None),
        (["01_1", "02_1", "03_1"], None),
        (["1_1", "1_2", "2_1", "x"], None),
    ],
)
def test_which_names_look_like_patients(names, pattern):
    assert leading_pattern(names) == pattern
