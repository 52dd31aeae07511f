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


@pytest.mark.parametrize("name", ["patent", "Patient", "patients", "pateint"])
def test_a_misspelt_patient_is_no_attribute_of_the_users(folder, name):
    with pytest.raises(ProtocolError, match=r"did you mean \{patient\}"):
        _of_data(folder, {"images": IMAGES.replace("patient", name)})


@pytest.mark.parametrize("name", ["slice", "subject", "pat", "id", "case"])
def test_other_names_are_the_users_own(folder, name):
    assert _of_data(folder, {"images": IMAGES.replace("patient", "x").replace("case", name)}).patients == "guessed"


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


@pytest.mark.parametrize(
    ("key", "given", "meant"),
    [
        ("images", "image/{patient}_{case}.png", IMAGES),
        ("images", "images/{patient}_{case}.jpg", IMAGES),
        ("mask", "Masks/{patient}_{case}.png", MASK),
        ("mask", "x/{patient}_{case}.png", None),
    ],
)
def test_a_pattern_that_no_file_fits_is_refused_with_the_one_that_is_meant(folder, key, given, meant):
    with pytest.raises(CohortError) as stated:
        recognise(folder, {key: given})
    keys = {"images": IMAGES, "mask": MASK, key: given}
    with pytest.raises(CohortError) as loaded:
        load(CohortSection(source="pairs", task="segmentation", classes=["a", "b"], **keys), folder)
    for text in (str(stated.value), str(loaded.value)):
        assert f"holds no file that fits {'cohort.' * ('cohort.' in text)}{key} = {given!r}" in text
        assert (f"did you mean {meant!r}?" if meant else "the folder holds files such as") in text


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("imgaes", IMAGES, "the key 'cohort.imgaes' is unknown to the source 'pairs'; did you mean 'images'?"),
        ("on_problem", "skip", "cohort.on_problem is 'skip'"),
        ("classes", ["one"], "cohort.values has"),
        ("ids", "none", "cohort.ids = 'none' is not allowed"),
        ("table", "list.csv", "list.csv: it cannot be opened"),
    ],
)
def test_what_is_wrong_with_a_stated_key_is_refused_and_no_protocol_is_written(folder, tmp_path, key, value, words):
    for mask in (folder / "masks").iterdir():
        Image.fromarray(np.array(Image.open(mask)) * np.uint8(255)).save(mask)
    with pytest.raises(EquipoiseError) as error:
        start(str(folder), tmp_path / "p.toml", {key: value})
    assert words in str(error.value)
    assert "no protocol was written" in str(error.value)
    assert not (tmp_path / "p.toml").exists()
