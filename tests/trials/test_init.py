"""What init writes for data of several kinds is a protocol, and fits them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.protocol import Protocol
from equipoise.trials.fit import fit
from equipoise.trials.init import example, start, write_protocol
from equipoise.trials.plan import read


def started(source: Path | str, tmp_path: Path) -> Protocol:
    return Protocol.load(write_protocol(str(source), tmp_path / "protocol.toml"))


def pictures(folder: Path, *sizes: tuple[int, int]) -> Path:
    for name in ("benign", "malignant"):
        (folder / name).mkdir(parents=True)
        for number, size in enumerate(sizes):
            Picture.new("L", size, 40 + 10 * number + len(name)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.long
def test_pictures_of_one_size_are_taken_as_they_are(tmp_path: Path) -> None:
    protocol = started(pictures(tmp_path / "x", (64, 48), (64, 48)), tmp_path)
    assert protocol.preprocessing == {"scale": "unit"}
    assert (protocol.training.batch_size, protocol.training.patch) == (2, None)
    assert protocol.split.patients == "guessed"
    assert protocol.trial.name == "x"


@pytest.mark.long
def test_data_beside_the_protocol_have_a_relative_path_and_others_an_absolute_one(tmp_path: Path) -> None:
    beside = write_protocol(str(pictures(tmp_path / "here" / "x", (64, 48), (64, 48))), tmp_path / "here" / "a.toml")
    assert 'path = "x"' in beside.read_text()
    elsewhere = write_protocol(str(tmp_path / "here" / "x"), tmp_path / "b.toml")
    assert 'path = "here/x"' in elsewhere.read_text()
    (tmp_path / "other").mkdir()
    other = write_protocol(str(tmp_path / "here" / "x"), tmp_path / "other" / "c.toml")
    assert f'path = "{(tmp_path / "here" / "x").resolve()}"' in other.read_text()
    assert [len(read(file)[1]) for file in (beside, elsewhere, other)] == [4] * 3


@pytest.mark.long
def test_pictures_that_differ_or_are_large_come_to_one_size(tmp_path: Path) -> None:
    differing = started(pictures(tmp_path / "x", (64, 48), (70, 50), (66, 50)), tmp_path)
    assert differing.preprocessing["size"] == [56, 72]
    assert "resample" not in differing.preprocessing
    (tmp_path / "protocol.toml").unlink()
    large = started(pictures(tmp_path / "y", (896, 448), (896, 448)), tmp_path)
    assert large.preprocessing["resample"] == [4.0, 4.0]
    assert "size" not in large.preprocessing


def test_volumes_with_masks_are_cut_and_brought_to_one_spacing(tmp_path: Path) -> None:
    folder = tmp_path / "BraTS2021_00001"
    folder.mkdir()
    for name, spacing in (("t1", 1.0), ("t2", 1.5)):
        image = nibabel.Nifti1Image(np.zeros((20, 20, 10), np.uint8), np.diag([spacing] * 3 + [1.0]))
        nibabel.save(image, folder / f"BraTS2021_00001_{name}.nii.gz")
    protocol = started(tmp_path, tmp_path)
    assert (protocol.cohort.source, protocol.cohort.task) == ("brats", "segmentation")
    assert (protocol.training.patch, protocol.training.batch_size) == ((16, 24, 24), 16)
    assert protocol.training.loss == "dice-cross-entropy"
    assert protocol.endpoints.primary == "dice"
    assert protocol.preprocessing["resample"] == [1.25] * 3
    assert protocol.split.patients == "stated"


@pytest.mark.long
def test_names_of_sources(tmp_path: Path) -> None:
    protocol = started("lidc-contours", tmp_path)
    assert protocol.cohort.settings == {"label": "malignancy"}
    assert (protocol.split.scheme, protocol.training.batch_size) == ("holdout", 32)


def test_own_code_that_is_not_there_yet_gets_a_protocol_with_the_reason(tmp_path: Path) -> None:
    begun = start("mine:cohort", tmp_path / "protocol.toml")
    assert Protocol.load(begun.file).cohort.source == "mine:cohort"
    assert begun.sentences[0].startswith("No verdict is possible: a run would be refused, because")


@pytest.mark.long
def test_what_is_written_is_what_was_planned(tmp_path: Path) -> None:
    base = {"trial": {"name": "x"}, "cohort": {"source": "phantom", "task": "segmentation", "cases": 40, "size": 16}}
    begun = fit(base, tmp_path)
    written = start("phantom", tmp_path / "p.toml", {"task": "segmentation", "cases": 40, "size": 16})
    protocol = Protocol.load(written.file)
    assert written.sentences == begun.sentences
    assert protocol.split.scheme == "kfold", "of 20 patients no part is large enough for a verdict"
    assert protocol.training.patch is None
    for table in ("preprocessing", "augmentation"):
        assert getattr(protocol, table) == begun.tables[table]
    assert [arm.model.model_dump() for arm in protocol.arms] == [arm["model"] for arm in begun.tables["arms"]]
    assert protocol.training.epochs == begun.tables["training"]["epochs"]


@pytest.mark.long
def test_pictures_without_a_spacing_are_in_pixels(tmp_path: Path) -> None:
    file = write_protocol(str(pictures(tmp_path / "x", (896, 448), (896, 448))), tmp_path / "p.toml")
    (line,) = [line for line in file.read_text().splitlines() if line.startswith("resample")]
    assert "in pixels: the images state no spacing" in line
    assert "mm" not in line


@pytest.mark.long
def test_own_parts_that_share_pictures_are_split_anew(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = {part: generator.integers(0, 256, (n, 16, 16), np.uint8) for part, n in PARTS.items()}
    labels = {part: np.arange(n)[:, None] % 2 for part, n in PARTS.items()}
    sound, leaking = tmp_path / "sound.npz", tmp_path / "leaking.npz"
    np.savez(sound, **arrays(images, labels))
    images["test"][0] = images["train"][0]
    np.savez(leaking, **arrays(images, labels))
    assert started(sound, tmp_path).split.scheme == "given"
    begun = start(str(leaking), tmp_path / "other.toml")
    protocol = Protocol.load(begun.file)
    assert (protocol.split.scheme, protocol.split.patients) == ("kfold", "guessed")
    assert any("gets a new split" in sentence for sentence in begun.sentences)


PARTS = {"train": 24, "val": 10, "test": 16}


def arrays(images: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{part}_images": images[part] for part in PARTS} | {f"{part}_labels": labels[part] for part in PARTS}


@pytest.mark.trial
@pytest.mark.usefixtures("jobs_here")
def test_a_trial_is_fitted_into_minutes(tmp_path: Path) -> None:
    begun = start("phantom", tmp_path / "p.toml", {"cases": 60, "size": 16}, minutes=0.35)
    assert begun.sentences[0].startswith("A verdict is")
    assert "jobs (2 arms × 3 seeds" in begun.sentences[1]
    assert "epochs instead of" in " ".join(begun.sentences[2:])
    protocol = Protocol.load(begun.file)
    assert (len(protocol.arms), protocol.training.seeds) == (2, (0, 1, 2))


@pytest.mark.long
def test_nothing_is_overwritten_and_unknown_things_are_named(tmp_path: Path) -> None:
    started("phantom", tmp_path)
    with pytest.raises(EquipoiseError, match="exists already"):
        started("phantom", tmp_path)
    with pytest.raises(EquipoiseError, match="did you mean 'phantom'"):
        write_protocol("fantom", tmp_path / "other.toml")
    with pytest.raises(EquipoiseError, match="is not installed"):
        example("none")
    assert example("quick").is_file()


@pytest.mark.long
def test_arms_that_cannot_be_timed_leave_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise ProtocolError("arm 'unet': the worker was killed in its first step")

    monkeypatch.setattr("equipoise.trials.fit.device_of", lambda *_: "cpu")
    monkeypatch.setattr("equipoise.trials.fit.forecasts_of", killed)
    with pytest.raises(EquipoiseError, match=r"could not be timed .*killed.* --minutes 0"):
        start("phantom", tmp_path / "p.toml", {"cases": 30, "size": 16}, minutes=5)
    assert not (tmp_path / "p.toml").exists()
