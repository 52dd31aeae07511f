"""Structures of masks: those of the truth, of the caller, or of dataset.json; never a label that only "
"predictions hold."""

import json
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import EquipoiseError
from equipoise.evaluation.external import AuditOptions, collect, parse_regions

Masks = list[np.ndarray]


def folders(root: Path, **arms: Masks) -> list[tuple[str | None, Path]]:
    """Folders of masks `c0.npy` …, one for each name, and the arms among them."""
    for name, masks in arms.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number, mask in enumerate(masks):
            np.save(root / name / f"c{number}.npy", mask.astype(np.uint8))
    return [(name, root / name) for name in arms if name != "labels"]


def metrics(root: Path, given: list[tuple[str | None, Path]], **more: object) -> tuple[dict[str, list[float]], str]:
    """The metric columns of all arms by name, and the notes."""
    found = collect(given, AuditOptions(truth=root / "labels", cases_are_patients=True, **more))  # type: ignore[arg-type]
    return {k: v.tolist() for k, v in found.predictions.metrics.items()}, " ".join(found.notes)


def blobs(n: int = 5, ignored: int | None = None) -> tuple[Masks, Masks, Masks]:
    """Truths, a prediction that is off by one row, and one that is off by three; the right side is nobody's."""
    truths, near, far = [], [], []
    for i in range(n):
        truth = np.zeros((20, 20), np.uint8)
        truth[3 + i : 9 + i, 2:10] = 1
        near.append(np.roll(truth, 1, 0))
        far.append(np.roll(truth, 3, 0))
        if ignored is not None:
            truth[:, 15:] = ignored
            near[-1][:, 16:] = 1
        truths.append(truth)
    return truths, near, far


def by_counting(truth: Masks, prediction: Masks, ignored: int) -> list[float]:
    """Dice of label 1 without the voxels of an ignored label, as nnU-Net's evaluator has it."""
    values = []
    for one, other in zip(truth, prediction, strict=True):
        use = one != ignored
        both = ((one == 1) & (other == 1) & use).sum()
        values.append(2 * both / (((one == 1) & use).sum() + ((other == 1) & use).sum()))
    return values


def test_ignored_voxels_count_for_no_arm(tmp_path: Path) -> None:
    truths, near, far = blobs(ignored=255)
    given = folders(tmp_path, labels=truths, near=near, far=far)
    with pytest.raises(EquipoiseError, match="--ignore 255"):
        metrics(tmp_path, given)
    measured, notes = metrics(tmp_path, given, ignore=(255,))
    assert measured["dice"] == pytest.approx([*by_counting(truths, near, 255), *by_counting(truths, far, 255)])
    assert "label 255, in 5 true masks, were left out" in notes
    assert not [name for name in measured if "255" in name]


def test_every_arm_may_have_missed_a_structure_that_the_caller_names(tmp_path: Path) -> None:
    truths, near, _ = blobs(ignored=2)
    near = [np.where(mask[:, :15].any(), mask, mask) * (np.arange(20) < 15) for mask in near]
    given = folders(tmp_path, labels=truths, near=near)
    measured, _ = metrics(tmp_path, given, regions=parse_regions("organ=1,lesion=2"))
    assert measured["dice_lesion"] == [0.0] * 5


def test_a_stray_label_moves_no_mean_of_anybody(tmp_path: Path) -> None:
    truths, near, far = blobs()
    alone, _ = metrics(tmp_path, folders(tmp_path, labels=truths, near=near))
    far[0][0, :2] = 9
    both, notes = metrics(tmp_path, folders(tmp_path, labels=truths, near=near, far=far))
    assert both["dice"][:5] == alone["dice"]
    assert "label 9 is in predictions and in no true mask" in notes


def test_masks_of_another_code_are_refused(tmp_path: Path) -> None:
    truths, near, _ = blobs()
    with pytest.raises(EquipoiseError, match=r"hold the labels 255 and the true masks 1; save both"):
        metrics(tmp_path, folders(tmp_path, labels=truths, near=[mask * 255 for mask in near]))


@pytest.mark.parametrize("place", ["", "labels", "near"])
def test_a_description_names_structures_and_what_to_ignore(tmp_path: Path, place: str) -> None:
    truths, near, _ = blobs(ignored=3)
    given = folders(tmp_path, labels=truths, near=near)
    content = {"labels": {"background": 0, "liver": 1, "cyst": 2, "ignore": 3}}
    (tmp_path / place / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    measured, notes = metrics(tmp_path, given)
    assert measured["dice_liver"] == pytest.approx(by_counting(truths, near, 3))
    assert measured["dice_cyst"] == [1.0] * 5
    assert "Structures are those of" in notes


def test_regions_of_a_description_are_lists_of_labels(tmp_path: Path) -> None:
    truths, near, _ = blobs()
    given = folders(tmp_path, labels=truths, near=near)
    content = {"labels": {"background": 0, "whole": [1, 2], "core": [2]}}
    (tmp_path / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    measured, _ = metrics(tmp_path, given)
    assert measured["dice_whole"] == by_counting(truths, near, 99)


def test_two_descriptions_that_differ_are_a_question(tmp_path: Path) -> None:
    truths, near, _ = blobs()
    given = folders(tmp_path, labels=truths, near=near)
    for place, name in (("labels", "liver"), ("near", "spleen")):
        (tmp_path / place / "dataset.json").write_text(json.dumps({"labels": {name: 1}}), encoding="utf-8")
    with pytest.raises(EquipoiseError, match="name different labels"):
        metrics(tmp_path, given)


@pytest.mark.long
def test_one_name_per_structure_whatever_the_source(made: Path) -> None:
    options = AuditOptions(truth=made / "masks/truth", cases_are_patients=True)
    masks = collect([("masks", made / "masks/careful")], options).predictions.metrics
    summary = collect([("nnunet", made / "nnunet_labels/careful/summary.json")], AuditOptions(cases_are_patients=True))
    shared = {name for name in summary.predictions.metrics if name.startswith("dice")}
    assert {"dice", "dice_label_1", "dice_label_2"} == shared
    assert shared <= set(masks)


def test_values_made_elsewhere_cannot_leave_voxels_out(made: Path) -> None:
    with pytest.raises(EquipoiseError, match="--ignore needs masks"):
        collect([(None, made / "nnunet_labels/careful")], AuditOptions(ignore=(3,)))
