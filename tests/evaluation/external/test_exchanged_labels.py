"""Arms of masks whose labels are exchanged, or coded otherwise, are refused by name; poor masks are not."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.external.exchanged_labels import LabelFits
from equipoise.evaluation.external.mask_file import MaskFile, read_mask
from equipoise.evaluation.external.structures import LabelCount, foreign_labels, structures
from equipoise.trials.audit import audit

Labels = NDArray[np.int32]
CASES = 8


def masks(folder: Path) -> list[tuple[MaskFile, MaskFile]]:
    """True masks of the labels 1 and 2, and good predictions of both, on disc."""
    rng = np.random.default_rng(0)
    pairs = []
    for case in range(CASES):
        truth = np.zeros((12, 12), np.int32)
        y, x = rng.integers(0, 3, 2)
        truth[y : y + 4, x : x + 4], truth[7:11, 6:10] = 1, 2
        files = []
        for name, voxels in (("truth", truth), ("a", truth * (rng.random(truth.shape) > 0.1))):
            (folder / name).mkdir(exist_ok=True)
            path = folder / name / f"c{case}.npy"
            np.save(path, voxels.astype(np.int32))
            files.append(read_mask(path))
        pairs.append((files[0], files[1]))
    return pairs


def ask(pairs: list[tuple[MaskFile, MaskFile]], recoded: list[int], regions: dict[str, tuple[int, ...]]) -> None:
    """Judge the arm "a", whose labels 0, 1, 2 were replaced."""
    fits = LabelFits(regions)
    for case, (truth, predicted) in enumerate(pairs):
        voxels = np.array(recoded, np.int32)[predicted.voxels]
        fits.add("a", f"c{case}", truth, MaskFile(predicted.path, voxels, 0, predicted.scan))
    fits.refuse_exchanged()


@pytest.mark.parametrize(
    ("recoded", "regions", "match"),
    [
        ([0, 2, 1], {}, "arm 'a' in .*label 2 fits label 1 of the truth, label 1 fits label 2"),
        ([0, 2, 3], {}, "label 2 fits label 1 of the truth, label 3 fits label 2"),
        ([0, 255, 255], {"whole": (1, 2)}, "label 255 fits whole .*--below-chance"),
        ([0, 2, 1], {"liver": (1,), "spleen": (2,)}, "spleen fits liver of the truth, liver fits spleen"),
        ([1, 0, 0], {"whole": (1, 2)}, "the background fits whole"),
    ],
)
def test_another_code_is_asked_about(
    tmp_path: Path, recoded: list[int], regions: dict[str, tuple[int, ...]], match: str
) -> None:
    with pytest.raises(PredictionError, match=match):
        ask(masks(tmp_path), recoded, regions)


@pytest.mark.parametrize(
    ("recoded", "regions"),
    [
        ([0, 1, 2], {}), ([0, 0, 0], {}), ([0, 1, 1], {}), ([0, 0, 2], {}),
        ([0, 2, 1], {"whole": (1, 2)}), ([0, 1, 1], {"whole": (1, 2), "core": (2,)}),
    ],
)  # fmt: skip
def test_good_and_poor_masks_are_judged(
    tmp_path: Path, recoded: list[int], regions: dict[str, tuple[int, ...]]
) -> None:
    ask(masks(tmp_path), recoded, regions)


def test_channels_have_an_order(tmp_path: Path) -> None:
    pairs = masks(tmp_path)
    code = np.array([0, 1, 2], np.int32)
    for order, refused in ((code, False), (code[[0, 2, 1]], True)):
        fits = LabelFits({})
        for case, (truth, predicted) in enumerate(pairs):
            true = MaskFile(truth.path, code[truth.voxels], 2, truth.scan)
            fits.add("a", f"c{case}", true, MaskFile(predicted.path, order[predicted.voxels], 2, predicted.scan))
        if refused:
            with pytest.raises(PredictionError, match="channel 1 fits channel 0"):
                fits.refuse_exchanged()
        else:
            fits.refuse_exchanged()


@pytest.mark.long
def test_an_audit_names_the_arm_and_takes_a_confirmation(tmp_path: Path) -> None:
    pairs = masks(tmp_path)
    (tmp_path / "b").mkdir()
    for _, predicted in pairs:
        np.save(tmp_path / "b" / predicted.path.name, np.array([0, 2, 1], np.int32)[predicted.voxels])
    given = {arm: tmp_path / arm for arm in "ab"}
    with pytest.raises(PredictionError, match="masks of arm 'b' in"):
        audit(given, truth=tmp_path / "truth", cases_are_patients=True)
    found = audit(given, truth=tmp_path / "truth", cases_are_patients=True, below_chance=True)
    assert any("labels of the masks are correct" in one for one in found["warnings"])


def test_another_code_names_its_arm_with_regions_too() -> None:
    labels = LabelCount()
    for case in "12":
        labels.add(Path("truth") / case, [1, 2], Path("a") / case, [1, 9], "first")
        labels.add(Path("truth") / case, [1, 2], Path("b") / case, [1, 2], "second")
    assert "(the predictions of 'first' in a)" in foreign_labels(labels, {}, ())[0]
    labels.add(Path("truth/1"), [1, 2], Path("c/1"), [255], "third")
    with pytest.raises(PredictionError, match="predictions of 'third' in c hold the labels 255"):
        structures(labels, {"whole": (1, 2)}, ())
    labels.predicted.pop(Path("c"))
    labels.add(Path("truth/1"), [1], Path("d/1"), [3], "fourth")
    assert structures(labels, {"whole": (1, 2, 3)}, ()) == [1, 2]
