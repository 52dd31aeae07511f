"""MONAI's CSV files, as MONAI wrote them, against MONAI's own summary and against the masks."""

import csv
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.mask_pairs import pairs_with
from equipoise.evaluation.external.masks import measure
from equipoise.evaluation.external.monai import read_metrics, read_values
from equipoise.progress import silent


def test_raw_metrics_have_monais_own_means(made: Path) -> None:
    for file, metric in (("mean_dice", "dice"), ("hausdorff95", "hd95")):
        found = read_metrics(made / f"monai/careful/{file}_raw.csv", {}, None).columns
        with (made / f"monai/careful/{file}_summary.csv").open(encoding="utf-8") as text:
            own = {row["class"]: float(row["mean"]) for row in csv.DictReader(text)}
        for name in ("whole", "core"):
            assert found[f"{metric}_{name}"].mean() == pytest.approx(own[name], abs=6e-5)
        assert found[metric].mean() == pytest.approx(own["mean"], abs=6e-5)


@pytest.mark.long
def test_monais_dice_and_distance_are_ours(made: Path) -> None:
    files = sorted((made / "masks/careful").iterdir())
    ours = measure(pairs_with(files, made / "masks/truth")[0], {"whole": (1, 2), "core": (2,)}, silent).columns
    dice = read_metrics(made / "monai/careful/mean_dice_raw.csv", {}, None).columns
    distance = read_metrics(made / "monai/careful/hausdorff95_raw.csv", {}, None).columns
    place = [ours["case"].tolist().index(case) for case in dice["case"]]
    for name in ("whole", "core"):
        np.testing.assert_allclose(ours[f"dice_{name}"][place], dice[f"dice_{name}"], atol=1e-6)
        # MONAI too takes the larger of the two directed percentiles
        np.testing.assert_allclose(ours[f"hd95_{name}"][place], distance[f"hd95_{name}"], atol=1e-4)


def test_saved_values_are_a_metric_or_class_scores(made: Path) -> None:
    raw = read_metrics(made / "monai/careful/mean_dice_raw.csv", {}, None).columns
    saved = read_values(made / "monai/careful/dice.csv", AuditOptions(regions={"whole": (), "core": ()}), False).columns
    np.testing.assert_allclose(saved["dice_core"], raw["dice_core"], atol=1e-6)
    assert saved["case"].tolist() == raw["case"].tolist()
    scores = read_values(made / "monai_scores/resnet.csv", AuditOptions(classes=("normal", "bacterial", "viral")), True)
    np.testing.assert_allclose(sum(scores.columns[f"score_{name}"] for name in ("normal", "bacterial", "viral")), 1)
    with pytest.raises(PredictionError, match="without names"):
        read_values(made / "monai_scores/resnet.csv", AuditOptions(), False)
    with pytest.raises(PredictionError, match="3 classes, and 2 were named"):
        read_values(made / "monai_scores/resnet.csv", AuditOptions(classes=("a", "b")), True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("filename,a,mean\nx,0.5\n", "other lengths"),
        ("filename,a,mean\nx,0.5,0.5\ny,0.5\n", "different lengths"),
        ("filename,a,mean\nx,half,0.5\n", "not a number"),
        ("filename,a,mean\n", "no values"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "dice_raw.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PredictionError, match=said):
        read_metrics(path, {}, None)


def test_rows_without_names_are_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "dice_raw.csv"
    path.write_text("filename,class0,mean\n0,0.5,0.5\n1,nan,nan\n", encoding="utf-8")
    found = read_metrics(path, {}, None)
    assert "paired by their place" in found.notes[0]
    assert np.isnan(found.columns["dice"][1])


def test_a_called_class_is_no_score(tmp_path: Path) -> None:
    path = tmp_path / "called.csv"
    path.write_text("a.png,1\nb.png,0\n", encoding="utf-8")
    with pytest.raises(PredictionError, match="predicted class"):
        read_values(path, AuditOptions(), True)


def test_a_mean_that_is_named_twice_is_one(tmp_path: Path) -> None:
    path = tmp_path / "hd95_raw.csv"
    path.write_text("filename,class0,class1,mean,mean\nc0.nii.gz,3,5,4\nc1.nii.gz,2,4,3\n", encoding="utf-8")
    assert read_metrics(path, {}, None).columns["hd95"].tolist() == [4, 3]


def test_structures_that_monai_left_out_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "mean_dice_raw.csv"
    path.write_text("filename,class0,class1,mean\nc0.nii.gz,nan,0.5,0.5\nc1.nii.gz,0.5,0.7,0.6\n", encoding="utf-8")
    assert any("1 of 4 structures of cases are not a number" in note for note in read_metrics(path, {}, None).notes)


def test_a_mean_that_its_classes_do_not_have_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mean_dice_raw.csv"
    rows = "filename,a,b,mean\nc0.nii,0.8,nan,0.8\nc1.nii,0.8,0.6,{}\nc2.nii,nan,nan,nan\n"
    file.write_text(rows.format(0.7))
    assert read_metrics(file, {}, None).columns["dice"][:2].tolist() == [0.8, 0.7]
    file.write_text(rows.format(0.9))
    with pytest.raises(PredictionError, match=r"the mean 0\.9 of c1\.nii is not that of its classes \(0\.7\)"):
        read_metrics(file, {}, None)
