"""What init writes for data of several kinds is a protocol, and fits them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from equipoise.errors import EquipoiseError
from equipoise.protocol import Protocol
from equipoise.trials.init import example, start, write_protocol


def started(source: Path | str, tmp_path: Path) -> Protocol:
    return Protocol.load(write_protocol(str(source), tmp_path / "protocol.toml"))


def pictures(folder: Path, *sizes: tuple[int, int]) -> Path:
    for name in ("benign", "malignant"):
        (folder / name).mkdir(parents=True)
        for number, size in enumerate(sizes):
            Picture.new("L", size, 40 + 10 * number + len(name)).save(folder / name / f"{number}.png")
    return folder


def test_pictures_of_one_size_are_taken_as_they_are(tmp_path: Path) -> None:
    protocol = started(pictures(tmp_path / "x", (64, 48), (64, 48)), tmp_path)
    assert protocol.preprocessing == {"scale": "unit"}
    assert (protocol.training.batch_size, protocol.training.patch) == (2, None)
    assert protocol.split.patients == "guessed"
    assert protocol.trial.name == "x"


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


def test_nothing_is_overwritten_and_unknown_things_are_named(tmp_path: Path) -> None:
    started("phantom", tmp_path)
    with pytest.raises(EquipoiseError, match="exists already"):
        started("phantom", tmp_path)
    with pytest.raises(EquipoiseError, match="did you mean 'phantom'"):
        write_protocol("fantom", tmp_path / "other.toml")
    with pytest.raises(EquipoiseError, match="is not installed"):
        example("none")
    assert example("quick").is_file()
