"""Masks measured against each other: the metrics of a trial, the same structures for every pair."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import EquipoiseError
from equipoise.evaluation.external.mask_pairs import MaskPair, pairs_with
from equipoise.evaluation.external.masks import measure
from equipoise.evaluation.external.nnunet import read_summary
from equipoise.evaluation.segmentation import case_metrics
from equipoise.progress import silent


def pair(folder: Path, truth: np.ndarray, said: np.ndarray, name: str = "a") -> MaskPair:
    np.save(folder / f"{name}_label.npy", truth)
    np.save(folder / f"{name}_pred.npy", said)
    return MaskPair("", name, folder / f"{name}_pred.npy", folder / f"{name}_label.npy")


@pytest.mark.long
def test_counts_are_nnunets(made: Path) -> None:
    for arm in ("careful", "careless"):
        pairs, missing = pairs_with(sorted((made / "masks" / arm).iterdir()), made / "masks/truth")
        assert not missing
        ours = measure(pairs, {"whole": (1, 2), "core": (2,)}, silent).columns
        own = read_summary(made / "nnunet_regions" / arm / "summary.json", {"whole": (1, 2), "core": (2,)}).columns
        assert ours["case"].tolist() == own["case"].tolist()
        for name in (name for name in own if name != "case"):
            np.testing.assert_allclose(ours[name], own[name], atol=1e-12, err_msg=name)
        np.testing.assert_allclose(ours["truth_ml_core"], own["truth_voxels_core"] * 2.5 / 1000)


def test_absent_structures_agree_and_foreign_labels_are_no_structures(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 2, (5, 6, 7)), rng.integers(0, 2, (5, 6, 7))
    second = 2 * rng.integers(0, 2, (5, 6, 7)), rng.integers(2, 4, (5, 6, 7))
    found = measure([pair(tmp_path, *first), pair(tmp_path, *second, "b")], {}, silent)
    assert found.columns["dice_label_2"][0] == 1
    assert found.columns["hd95_label_2"][0] == 0
    assert "dice_label_3" not in found.columns
    wanted = case_metrics(*first, {"it": (1,)}, (1.0, 1.0, 1.0))
    assert found.columns["hd95_label_1"][0] == wanted["hd95_it"]
    assert any("label 3 is in predictions and in no true mask" in note for note in found.notes)
    means = [found.columns[f"dice_label_{label}"] for label in (1, 2)]
    np.testing.assert_allclose(found.columns["dice"], np.mean(means, axis=0))


def test_overlapping_channels_keep_their_own_voxels(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    truth, said = (rng.random((3, 9, 9, 9)) < 0.4 for _ in range(2))
    one = pair(tmp_path, truth.astype(np.uint8), said.astype(np.uint8))
    found = measure([one], {"ET": (), "TC": (), "WT": ()}, silent).columns
    for index, name in enumerate(("ET", "TC", "WT")):
        wanted = case_metrics(truth[index].astype(int), said[index].astype(int), {"it": (1,)}, (1.0, 1.0, 1.0))
        for metric in ("dice", "iou", "hd95", "assd", "shared_voxels", "lesion_f1"):
            assert found[f"{metric}_{name}"][0] == wanted[f"{metric}_it"]
    both = measure([one], {"any": (0, 1)}, silent).columns
    assert both["truth_voxels_any"][0] == (truth[0] | truth[1]).sum()


def test_pairs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EquipoiseError, match="shape"):
        measure([pair(tmp_path, np.ones((3, 4, 5)), np.ones((3, 4, 6)))], {}, silent)
    with pytest.raises(EquipoiseError, match="one form"):
        measure([pair(tmp_path, np.ones((9, 9, 9)), np.ones((2, 9, 9, 9)))], {}, silent)
    with pytest.raises(EquipoiseError, match="none of the masks"):
        measure([pair(tmp_path, np.zeros((3, 4, 5)), np.zeros((3, 4, 5)))], {}, silent)
    with pytest.raises(EquipoiseError, match="name one for each"):
        measure([pair(tmp_path, np.ones((3, 4, 5)), np.ones((3, 4, 5)))], {"a": (), "b": ()}, silent)
