"""Paths as a user gives them: files, folders, folders of folders, and what is read from each."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import EquipoiseError
from equipoise.evaluation.external import AuditOptions, Collected, collect, split_arm

PATIENTS = AuditOptions(cases_are_patients=True)


def collected(*paths: Path | str, **stated: object) -> Collected:
    named = [split_arm(str(path)) for path in paths]
    return collect([(arm, Path(path)) for arm, path in named], AuditOptions(cases_are_patients=True, **stated))  # type: ignore[arg-type]


def arms(found: Collected) -> list[str]:
    return found.predictions.arms()


@pytest.mark.long
def test_a_folder_of_folders_has_an_arm_in_each(made: Path) -> None:
    for folder in ("nnunet_labels", "masks", "monai"):
        found = collected(made / folder)
        assert arms(found) == ["careful", "careless"]
        assert len({source.kind for source in found.sources}) == 1
    found = collected(made / "medmnist/pneumoniamnist", truth=made / "medmnist/pneumoniamnist.npz")
    assert arms(found) == ["resnet18", "resnet50"]
    assert sorted(set(found.predictions.seed.tolist())) == [0, 1, 2]
    assert any("3 training runs" in note for note in found.notes)


def test_files_are_arms_and_an_arm_named_twice_has_runs(made: Path) -> None:
    files = sorted((made / "medmnist/pneumoniamnist/resnet18").iterdir())
    truth = made / "medmnist/pneumoniamnist.npz"
    assert arms(collected(*files, truth=truth)) == ["resnet18_3", "resnet18_2", "resnet18_1"]
    found = collected(*(f"net={path}" for path in files), truth=truth)
    assert arms(found) == ["net"]
    assert len(set(found.predictions.seed.tolist())) == 3


def test_monai_files_of_a_folder_are_metrics_of_one_arm(made: Path) -> None:
    found = collected(made / "monai/careful/mean_dice_raw.csv", made / "monai/careful/hausdorff95_raw.csv")
    assert arms(found) == ["careful"]
    assert {"dice_core", "hd95_core"} <= found.predictions.metrics.keys()
    assert len(found.predictions) == 30


@pytest.mark.long
def test_masks_beside_a_folder_of_truth_or_one_true_file(made: Path) -> None:
    stated = {"truth": made / "masks/truth"}
    whole = collected(made / "masks/careful", f"other={made / 'masks/careless'}", **stated)
    assert arms(whole) == ["careful", "other"]
    case = [made / "masks" / arm / "p01_a.nii.gz" for arm in ("careful", "careless")]
    one = collected(*case, truth=made / "masks/truth/p01_a.nii.gz")
    assert arms(one) == ["careful/p01_a", "careless/p01_a"]
    assert one.predictions.case.tolist() == ["p01_a", "p01_a"]
    row = whole.predictions.metrics["dice_label_1"][whole.predictions.case == "p01_a"]
    np.testing.assert_array_equal(row, one.predictions.metrics["dice_label_1"])


@pytest.mark.long
def test_runs_of_masks(made: Path) -> None:
    found = collected(f"net={made / 'masks/careful'}", f"net={made / 'masks/careless'}", truth=made / "masks/truth")
    assert arms(found) == ["net"]
    assert sorted(set(found.predictions.seed.tolist())) == [0, 1]


def test_nnunet_folds_of_one_trainer(made: Path, tmp_path: Path) -> None:
    import json

    whole = json.loads((made / "nnunet_labels/careful/summary.json").read_text(encoding="utf-8"))
    for fold in range(2):
        folder = tmp_path / "Trainer__3d" / f"fold_{fold}" / "validation"
        folder.mkdir(parents=True)
        part = {**whole, "metric_per_case": whole["metric_per_case"][fold::2]}
        (folder / "summary.json").write_text(json.dumps(part), encoding="utf-8")
    found = collected(tmp_path / "Trainer__3d")
    assert arms(found) == ["Trainer__3d"]
    assert sorted(set(found.predictions.fold.tolist())) == [0, 1]
    assert len(found.predictions) == 32


def test_class_scores_beside_a_list_of_truths(made: Path) -> None:
    folder = made / "monai_scores"
    found = collected(folder, truth=folder / "truth.csv", classes=("normal", "bacterial", "viral"))
    assert sorted(arms(found)) == ["densenet", "resnet"]
    assert found.predictions.classes == ("normal", "bacterial", "viral")
    assert found.predictions.truth[:3].tolist() == [0, 1, 2]


@pytest.mark.long
def test_truths_that_nobody_predicted_are_kept_in_mind(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "masks/careful", tmp_path / "net")
    (tmp_path / "net/p01_a.nii.gz").unlink()
    assert collected(tmp_path / "net", truth=made / "masks/truth").unpredicted == ("p01_a",)
    assert collected(made / "masks/careful", tmp_path / "net", truth=made / "masks/truth").unpredicted == ()


def test_what_holds_nothing_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for given, said in (
        ([tmp_path / "empty"], "nothing that can be audited"),
        ([made / "masks/careful"], "without a truth"),
        ([f"one={made / 'masks'}"], "2 folders, each an arm"),
        ([], "no prediction file"),
    ):
        with pytest.raises(EquipoiseError, match=said):
            collected(*given)
