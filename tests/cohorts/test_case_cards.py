"""A case's card is made in one read and kept by the hashes of its files; the cache never decides."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture

import equipoise
from equipoise.cohorts import case_cards, sources
from equipoise.cohorts.case_cards import CaseCards, card_of
from equipoise.cohorts.case_pictures import from_png, outlined, picture
from equipoise.cohorts.read_once import ReadOnce, read_once, release_images, seen_by
from equipoise.errors import CohortError
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.check import check


def on_files(cohort, recipe="a source with its settings"):
    """The cohort as one that was read from files with known hashes."""
    cases = tuple(
        replace(case, sha256={f"{case.id}.png": f"{number:064x}"}) for number, case in enumerate(cohort.cases)
    )
    return replace(cohort, cases=cases, recipe=recipe)


def counted(cohort):
    """The cohort, with the names of the cases whose images were read."""
    read: list[str] = []
    return seen_by(cohort, range(len(cohort)), lambda case, _: read.append(case.id)), read


def assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.picture.tobytes() == other.picture.tobytes()
        assert replace(one, picture=None) == replace(other, picture=None)


@pytest.mark.parametrize("task", ["classification", "segmentation"])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_card_says_what_the_image_says(task, dims):
    image = phantom(task=task, cases=4, size=16, spatial_dims=dims, channels=2).cases[0].read()
    card = card_of(image)
    assert card.shape == image.array.shape
    assert card.spacing_mm == image.spacing_mm
    assert len(card.channels) == len(image.array)
    assert np.array_equal(card.picture, picture(image.array))
    assert np.array_equal(from_png(card.shown), outlined(image))
    for levels, channel in zip(card.levels, image.array, strict=True):
        assert np.allclose(levels, np.percentile(channel, [1, 50, 99]), atol=1e-6)
    if task == "segmentation":
        assert sum(card.label_voxels.values()) == image.mask.size
        assert card.label_voxels["1"] == np.count_nonzero(image.mask == 1)
    else:
        assert card.label_voxels is None
    changed = replace(
        image, array=np.where(np.arange(image.array.size).reshape(image.array.shape) == 5, 9, image.array)
    )
    assert card_of(changed).digest != card.digest
    assert card_of(replace(image, array=image.array.astype(np.float64))).digest == card.digest


def test_cards_are_made_once_and_come_back_equal(tmp_path):
    cohort, read = counted(on_files(phantom(task="segmentation", cases=6, size=16)))
    made = CaseCards(cohort, folder=tmp_path)
    first = made.all()
    made.all()
    made.shown(3)
    assert len(read) == 6
    assert_equal(CaseCards(cohort, folder=tmp_path).all(), first)
    assert len(read) == 6
    assert made.remark is None
    assert len(list(tmp_path.glob("*.npz"))) == 6, "one entry for the files of a case"


@pytest.mark.parametrize(
    "change",
    [
        lambda cohort: replace(cohort, recipe="other settings"),
        lambda cohort: replace(cohort, cases=tuple(replace(case, sha256={"x": "1"}) for case in cohort.cases)),
        lambda cohort: replace(cohort, cases=tuple(replace(case, id=case.id + "x") for case in cohort.cases)),
        lambda cohort: replace(cohort, cases=tuple(replace(case, label=1 - case.label) for case in cohort.cases)),
        lambda cohort: replace(cohort, cases=tuple(replace(case, attributes={"row": 1}) for case in cohort.cases)),
    ],
)
def test_what_the_pixels_may_follow_from_is_in_the_key(change, tmp_path):
    cohort = on_files(phantom(cases=4, size=8))
    CaseCards(cohort, folder=tmp_path).all()
    other, read = counted(change(cohort))
    CaseCards(other, folder=tmp_path).all()
    assert len(read) == 4


def test_guessed_patients_need_no_second_read(tmp_path):
    cohort = on_files(phantom(cases=4, size=8))
    CaseCards(cohort, folder=tmp_path).all()
    other, read = counted(replace(cohort, cases=tuple(replace(case, patient="guess-1") for case in cohort.cases)))
    CaseCards(other, folder=tmp_path).all()
    assert read == []


@pytest.mark.parametrize("cohort", [phantom(cases=4, size=8), on_files(phantom(cases=4, size=8), recipe=None)])
def test_what_has_no_known_origin_is_not_kept(cohort, tmp_path):
    CaseCards(cohort, folder=tmp_path).all()
    assert not list(tmp_path.iterdir())


def test_cases_of_one_file_share_an_entry_and_many_cases_carry_no_pictures_for_people(tmp_path, monkeypatch):
    monkeypatch.setattr(case_cards, "MOST_SHOWN", 20)
    monkeypatch.setattr(case_cards, "MOST_TOGETHER", 8)
    cohort = phantom(cases=21, size=8)
    cases = tuple(replace(case, sha256={"all.npz": "1"}) for case in cohort.cases)
    cohort, read = counted(replace(cohort, cases=cases, recipe="r"))
    cards = CaseCards(cohort, folder=tmp_path)
    assert {card.shown for card in cards.all()} == {b""}
    assert len(list(tmp_path.glob("*.npz"))) == 3
    assert np.array_equal(cards.shown(7), outlined(cohort.cases[7].read()))
    assert len(read) == 23
    assert_equal(CaseCards(cohort, folder=tmp_path).all(), cards.all())
    assert len(read) == 23


def test_more_files_than_entries_share_them(tmp_path, monkeypatch):
    monkeypatch.setattr(case_cards, "MOST_ENTRIES", 4)
    cohort, read = counted(on_files(phantom(cases=14, size=8)))
    few, many = (replace(cohort, cases=cohort.cases[:cases]) for cases in (10, 14))
    first = CaseCards(few, folder=tmp_path).all()
    assert len(list(tmp_path.glob("*.npz"))) == 3  # 4, 4 and 2 cases
    assert_equal(CaseCards(few, folder=tmp_path).all(), first)
    assert len(read) == 10
    # A cohort that grows is joined alike, and keeps the entries that were full.
    assert_equal(CaseCards(many, folder=tmp_path).all()[:8], first[:8])
    assert len(read) == 10 + 6


def test_all_pictures_lie_in_one_array_whether_made_or_kept(tmp_path):
    cohort = on_files(phantom(cases=6, size=8))
    for cards in (CaseCards(cohort, folder=tmp_path), CaseCards(cohort, folder=tmp_path)):
        assert np.array_equal(cards.pictures(), [picture(case.read().array) for case in cohort.cases])
        assert all(card.picture.base is cards.pictures() for card in cards.all())
        assert cards.through(cohort).pictures() is cards.pictures()


def test_percentiles_are_those_of_numpy_to_the_last_bit():
    rng = np.random.default_rng(3)
    for cases in (*range(1, 12), 784, 4096):
        values = rng.normal(0, 10.0 ** rng.integers(-3, 6), cases)
        for one in (values, np.rint(values)):
            for percentiles in ((1, 50, 99), (0.5, 50, 99.5), (0, 25, 100)):
                assert list(case_cards._quantiles(one, percentiles)) == np.percentile(one, percentiles).tolist()


def test_every_case_is_told_once_whether_read_or_kept(tmp_path):
    cohort, told = on_files(phantom(cases=5, size=16)), []
    for _ in range(2):
        list(CaseCards(cohort, lambda *state: told.append(state), folder=tmp_path).all())
        assert told == [("reading cases", done, 5) for done in range(1, 6)]
        told.clear()


@pytest.mark.parametrize("at", [0, 40, 200, -1])
def test_a_damaged_entry_counts_as_absent(at, tmp_path):
    cohort, read = counted(on_files(phantom(cases=2, size=8)))
    first = CaseCards(cohort, folder=tmp_path).all()
    for file in tmp_path.glob("*.npz"):
        content = bytearray(file.read_bytes())
        content[at] ^= 1
        file.write_bytes(bytes(content))
    assert_equal(CaseCards(cohort, folder=tmp_path).all(), first)
    assert len(read) == 4


def test_an_entry_of_another_kind_counts_as_absent(tmp_path, monkeypatch):
    cohort = on_files(phantom(cases=2, size=8))
    first = CaseCards(cohort).all()
    entries = (
        {},
        {"facts": np.frombuffer(b"[]", np.uint8)},
        {"facts": np.frombuffer(b"{", np.uint8), "digests": np.zeros(1), "pictures": np.zeros(1), "shown": np.zeros(1)},
    )
    for entry in entries:
        monkeypatch.setattr(case_cards, "load", lambda *_, entry=entry: entry)
        assert_equal(CaseCards(cohort, folder=tmp_path).all(), first)


def test_a_cache_that_cannot_be_written_is_a_remark(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    cohort = on_files(phantom(cases=3, size=8))
    cards = CaseCards(cohort, folder=tmp_path / "cache")
    assert_equal(cards.all(), CaseCards(phantom(cases=3, size=8)).all())
    assert cards.remark


def test_an_image_read_once_is_the_same_until_it_is_released():
    cohort, read = counted(phantom(cases=4, size=8))
    once = read_once(cohort, [1, 3])
    assert once.cases[1].read() is once.cases[1].read()
    once.cases[0].read()
    once.cases[0].read()
    assert read == ["phantom-00001", "phantom-00000", "phantom-00000"]
    release_images(once)
    assert all(case.read.image is None for case in once.cases if isinstance(case.read, ReadOnce))
    once.cases[1].read()
    assert read[-1] == "phantom-00001"
    assert once.fingerprint() == cohort.fingerprint()


PROTOCOL = """
[trial]
name = "counting"
[cohort]
source = "folders"
path = "images"
task = "{task}"
[split]
fractions = [0.5, 0.25, 0.25]
[preprocessing]
size = [16, 16]
[training]
epochs = 1
seeds = [0]
batch_size = 4
{training}
[[arms]]
name = "unet"
model = {{name = "unet", preset = "tiny"}}
"""


@pytest.fixture
def pictures(tmp_path):
    """Folders of classes with one picture of each of 40 patients."""
    generator = np.random.default_rng(0)
    for number in range(40):
        kind = ("benign", "malignant")[number % 2]
        pixels = generator.normal(100 + 60 * (number % 2), 20, (16, 16)).clip(0, 255)
        (tmp_path / "images" / kind).mkdir(parents=True, exist_ok=True)
        Picture.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / kind / f"p{number:02d}.png")
    return tmp_path


@pytest.fixture
def reads(monkeypatch, tmp_path):
    """How often each case's image is read, through whatever built-in source, with a cache of its own."""
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    counts: dict[str, int] = {}

    def counting(case, _):
        counts[case.id] = counts.get(case.id, 0) + 1

    made = sources._call
    monkeypatch.setattr(sources, "_call", lambda *given: seen_by(made(*given), range(10**4), counting))
    return counts


@pytest.mark.long
@pytest.mark.usefixtures("in_this_process")
def test_check_reads_every_image_once_and_the_run_after_it_once(pictures, reads):
    (pictures / "p.toml").write_text(PROTOCOL.format(task="classification", training=""))
    checked = check(pictures / "p.toml")
    checked.page()
    assert len(checked.cases) == 40
    assert len(reads) == 40
    assert set(reads.values()) == {1}
    reads.clear()
    results = equipoise.run(pictures / "p.toml", pictures / "run")
    assert results["failures"] == []
    assert results["baselines"], "the rule on the mean intensity has answered from the prepared images"
    assert len(reads) == 40
    assert set(reads.values()) == {1}
    reads.clear()
    equipoise.run(pictures / "p.toml", pictures / "run")
    assert set(reads.values()) <= {1}
    assert len(reads) <= 4, "a finished trial reads no more than the cases on which its arms are tried"


@pytest.mark.long
@pytest.mark.usefixtures("in_this_process")
def test_the_test_set_is_not_read_for_training(pictures, reads):
    """Cards of test cases are made for the leak search; they are prepared only when the test set is opened."""
    (pictures / "p.toml").write_text(PROTOCOL.format(task="classification", training=""))
    check(pictures / "p.toml")
    reads.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equipoise.trials.run.predict_test", lambda *_: (_ for _ in ()).throw(CohortError("not opened")))
        with pytest.raises(CohortError, match="not opened"):
            equipoise.run(pictures / "p.toml", pictures / "run")
    test = set(json.loads((pictures / "run" / "lock.json").read_text())["split"]["folds"][0]["test"])
    assert len(test) == 10
    assert not test & set(reads)
    assert sorted(path.name for path in (pictures / "run" / "samples" / "0").iterdir()) == ["train", "validation"]


@pytest.mark.long
@pytest.mark.usefixtures("in_this_process")
def test_a_trial_without_a_cache_gives_the_same_numbers_and_the_check_says_why(pictures, monkeypatch):
    (pictures / "p.toml").write_text(PROTOCOL.format(task="classification", training=""))
    monkeypatch.setenv("EQUIPOISE_CACHE", str(pictures / "cache"))
    whole = equipoise.run(pictures / "p.toml", pictures / "run")
    (pictures / "file").write_text("no folder")
    monkeypatch.setenv("EQUIPOISE_CACHE", os.fspath(pictures / "file" / "cache"))
    (remark,) = [line for line in check(pictures / "p.toml").warnings if "could not be cached" in line]
    assert str(pictures / "file") in remark
    again = equipoise.run(pictures / "p.toml", pictures / "other")
    for results in (whole, again):
        for entry in (*results["arms"], *results["baselines"]):
            entry.pop("cost")
            entry.pop("pareto", None)
        results.pop("recommendation")
    assert again == whole
