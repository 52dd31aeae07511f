"""Which truth belongs to which prediction, by names alone."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.mask_pairs import has_pairs, is_truth_folder, pairs_among, pairs_with


def write(folder: Path, names: dict[str, int]) -> list[Path]:
    """Masks told apart by their content: a number is a cube of that size."""
    folder.mkdir(exist_ok=True)
    for name, size in names.items():
        mask = np.zeros((9, 9, 9), dtype=np.uint8)
        mask[:size, :size, :size] = 1
        np.save(folder / f"{name}.npy", mask)
    return sorted(folder.iterdir())


def test_folders_are_matched_by_name_and_ending(tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    write(truth, {"a_seg": 2, "b_seg": 3, "c_seg": 4})
    said = write(tmp_path / "arm", {"a": 2, "b_pred": 3})
    pairs, missing = pairs_with(said, truth)
    assert [(pair.case, pair.truth.name) for pair in pairs] == [("a", "a_seg.npy"), ("b", "b_seg.npy")]
    assert missing == ["c"]
    with pytest.raises(PredictionError, match=r"x\.npy has no true mask"):
        pairs_with([tmp_path / "arm/x.npy"], truth)
    with pytest.raises(PredictionError, match="both of case 'a'"):
        pairs_with([tmp_path / "a.npy", tmp_path / "a_pred.npy"], truth)
    single, _ = pairs_with(said[:1], truth / "b_seg.npy")  # one truth given as a file needs no equal names
    assert single[0].case == "b"


def test_pairs_of_one_folder_are_cases_of_one_arm(tmp_path: Path) -> None:
    files = write(tmp_path / "f", {"p1_pred": 2, "p1_label": 3, "p2_pred": 2, "p2_label": 4})
    pairs, notes = pairs_among(files)
    assert [(pair.arm, pair.case) for pair in pairs] == [("", "p1"), ("", "p2")]
    assert not notes
    assert has_pairs(files)
    assert not has_pairs(files[:1])


def test_one_case_of_several_arms(tmp_path: Path) -> None:
    """Plain names with one truth are arms; a case behind several names is one case of several arms."""
    plain = write(tmp_path / "p", {"unet_pred": 2, "unet_label": 5, "vnet_pred": 3, "vnet_label": 5})
    assert [(pair.arm, pair.case) for pair in pairs_among(plain)[0]] == [("unet", "case"), ("vnet", "case")]
    names = {f"{arm}_{case}_{kind}": size for arm in ("unet", "vnet") for case, size in (("c1", 4), ("c2", 5))
             for kind in ("pred", "label")}  # fmt: skip
    pairs, notes = pairs_among(write(tmp_path / "c", names))
    assert {(pair.arm, pair.case) for pair in pairs} == {(a, c) for a in ("unet", "vnet") for c in ("c1", "c2")}
    assert "ARM_CASE" in notes[0]
    assert {pair.arm for pair in pairs_among(sorted((tmp_path / "c").iterdir()), one_arm=True)[0]} == {""}


def test_equal_names_with_different_truths_are_different_cases(tmp_path: Path) -> None:
    names = {"unet_s1_pred": 2, "unet_s1_label": 3, "vnet_s1_pred": 2, "vnet_s1_label": 4}
    pairs, notes = pairs_among(write(tmp_path / "d", names))
    assert [(pair.arm, pair.case) for pair in pairs] == [("unet", "unet_s1"), ("vnet", "vnet_s1")]
    assert "different truths" in notes[1]


def test_incomplete_pairs_are_named(tmp_path: Path) -> None:
    files = write(tmp_path / "f", {"a_pred": 1, "b_label": 2})
    with pytest.raises(PredictionError, match="a_pred"):
        pairs_among(files)
    with pytest.raises(PredictionError, match="all truths"):
        pairs_among(files[1:])
    with pytest.raises(PredictionError, match="both of case 'd'"):
        pairs_among(write(tmp_path / "h", {"d_pred": 1, "d_output": 1, "d_label": 2}))
    with pytest.raises(PredictionError, match="without a truth"):
        pairs_among(write(tmp_path / "g", {"c": 1}))


def test_names_of_truth_folders(tmp_path: Path) -> None:
    (tmp_path / "labelsTs").mkdir()
    assert is_truth_folder(tmp_path / "labelsTs")
    assert not is_truth_folder(tmp_path)
