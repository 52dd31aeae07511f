"""What nnU-Net, MONAI and MedMNIST wrote, and real masks of brain tumours, from file to report."""

import json
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from equipoise.cli import main
from equipoise.trials.audit import audit

MADE = Path(__file__).parents[1] / "evaluation/external/files"
PAIRS = Path(__file__).parents[3] / "shared/data/seg_pred_pairs_brats23"


def estimates(results: dict[str, Any], endpoint: str) -> dict[str, float]:
    return {arm["name"]: arm["endpoints"][endpoint]["estimate"] for arm in results["arms"]}


@pytest.mark.long
def test_nnunet_summaries_and_the_masks_behind_them_agree(tmp_path: Path) -> None:
    regions = "whole=1+2,core=2"
    summaries = audit(MADE / "nnunet_regions", regions=regions, cases_are_patients=True, margin=0.05)
    masks = audit(MADE / "masks", regions=regions, cases_are_patients=True, margin=0.05, out=tmp_path)
    for endpoint in ("dice", "dice_whole", "dice_core"):
        assert estimates(summaries, endpoint) == pytest.approx(estimates(masks, endpoint), abs=1e-12)
    assert summaries["comparisons"][0]["difference"] == pytest.approx(masks["comparisons"][0]["difference"], abs=1e-12)
    assert [source["kind"] for source in summaries["sources"]] == ["nnU-Net summary.json"] * 2
    own = json.loads((MADE / "nnunet_regions/careful/summary.json").read_text(encoding="utf-8"))["mean"]
    assert estimates(summaries, "dice_whole")["careful"] == pytest.approx(own["(1, 2)"]["Dice"], abs=1e-12)
    assert "predicted and true masks" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_monai_metrics_have_monais_means() -> None:
    found = audit(MADE / "monai", cases_are_patients=True)
    for arm in ("careful", "careless"):
        rows = (MADE / "monai" / arm / "mean_dice_raw.csv").read_text(encoding="utf-8").splitlines()[1:]
        mean = np.mean([float(row.rpartition(",")[2]) for row in rows])
        assert estimates(found, "dice")[arm] == pytest.approx(mean, abs=1e-6)
    assert (found["comparisons"][0]["verdict"], found["comparisons"][0]["about"]) == ("a_better", "networks")


def test_monai_scores_with_a_list_of_truths() -> None:
    folder, names = MADE / "monai_scores", ("normal", "bacterial", "viral")
    found = audit(folder, truth=folder / "truth.csv", patients=folder / "truth.csv", classes=names)
    truth = np.arange(60) % 3
    for arm in ("resnet", "densenet"):
        scores = np.loadtxt(folder / f"{arm}.csv", delimiter=",", usecols=(1, 2, 3))
        wanted = roc_auc_score(truth, scores, multi_class="ovr", average="macro")
        assert estimates(found, "auc")[arm] == pytest.approx(wanted, abs=1e-12)
    assert found["cohort"]["patients"] == 30


def test_medmnist_runs_have_the_auc_in_their_names() -> None:
    truth = MADE / "medmnist/pneumoniamnist.npz"
    found = audit(MADE / "medmnist/pneumoniamnist", truth=truth, cases_are_patients=True, margin=0.03)
    for arm in found["arms"]:
        files = sorted((MADE / "medmnist/pneumoniamnist" / arm["name"]).iterdir())
        wanted = [float(re.search(r"\[AUC\]([\d.]+)_", file.name)[1]) for file in files]  # type: ignore[index]
        got = [run["value"] for run in arm["endpoints"]["auc"]["by_seed"]]
        assert got == pytest.approx(wanted, abs=5.1e-4)
    assert found["comparisons"][0]["verdict"] == "a_better"


@pytest.mark.long
def test_the_report_of_every_tool_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {
        "nnunet": [MADE / "nnunet_labels"],
        "monai": [MADE / "monai"],
        "medmnist": [MADE / "medmnist/bloodmnist", "--truth", MADE / "medmnist/bloodmnist.npz"],
    }
    for name, words in asked.items():
        out = tmp_path / name
        assert main(["audit", *map(str, words), "--cases-are-patients", "--out", str(out), "--quiet"]) == 0
        assert "report:" in capsys.readouterr().out
        page = (out / "report.html").read_text(encoding="utf-8")
        assert page.count("<section") >= 7
        assert 'id="figure-overview"' in page


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The audit of the three real pairs, and its folder."""
    if not PAIRS.is_dir():
        pytest.skip("the shared real mask pairs are not beside this checkout")
    out = tmp_path_factory.mktemp("pairs")
    return audit(PAIRS, regions=["ET", "TC", "WT"], cases_are_patients=True, ids="plain", out=out), out


def direct(name: str, channel: int) -> tuple[np.ndarray, np.ndarray]:
    found = [
        np.asarray(nibabel.load(PAIRS / f"{name}_{kind}.nii.gz").dataobj)[channel] > 0 for kind in ("label", "pred")
    ]
    return found[0], found[1]


@pytest.mark.long
def test_real_pairs_are_three_arms_without_a_common_case(real: tuple[dict[str, Any], Path]) -> None:
    results, out = real
    assert [arm["name"] for arm in results["arms"]] == ["SegResNet", "SwinUNETR", "UNet"]
    assert {pair["verdict"] for pair in results["comparisons"]} == {"refused"}
    told = " ".join(results["warnings"])
    assert "different truths" in told
    assert "No case was predicted by more than one arm" in told
    assert "channels lie on the first axis" in told
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Inconclusive: no comparison reached a verdict" in page


@pytest.mark.long
def test_real_pairs_have_the_numbers_of_direct_counts(real: tuple[dict[str, Any], Path]) -> None:
    import csv

    page = (real[1] / "report.html").read_text(encoding="utf-8")
    with (real[1] / "cases.csv").open(encoding="utf-8") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == ["SegResNet_sample_3", "SwinUNETR_sample_1", "UNet_sample_1"]
    for case, row in rows.items():
        for channel, region in enumerate(("ET", "TC", "WT")):
            truth, said = direct(case, channel)
            dice = 2 * (truth & said).sum() / (truth.sum() + said.sum())
            assert float(row[f"dice_{region}"]) == pytest.approx(dice, abs=1e-12)
            assert float(row[f"truth_ml_{region}"]) == pytest.approx(truth.sum() / 1000, abs=1e-9)
            assert float(row[f"predicted_ml_{region}"]) == pytest.approx(said.sum() / 1000, abs=1e-9)
            assert f'<td data-label="Dice">{dice:.3f}</td>' in page
            assert f'<td data-label="true volume, ml">{truth.sum() / 1000:.2f}</td>' in page


@pytest.mark.long
def test_a_real_distance_is_that_of_simpleitk(real: tuple[dict[str, Any], Path]) -> None:
    import csv

    import SimpleITK as sitk

    with (real[1] / "cases.csv").open(encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["case"] == "SwinUNETR_sample_1")
    surfaces = []
    for mask in direct("SwinUNETR_sample_1", 0):
        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        outline = sitk.GetArrayFromImage(sitk.LabelContour(image)).astype(bool)
        distance = np.abs(sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(
            sitk.GetImageFromArray(outline.astype(np.uint8)), squaredDistance=False, useImageSpacing=True
        )))  # fmt: skip
        surfaces.append((outline, distance))
    (a, to_a), (b, to_b) = surfaces
    wanted = max(np.percentile(to_b[a], 95), np.percentile(to_a[b], 95))
    assert float(row["hd95_ET"]) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.long
def test_an_arm_may_be_named_for_real_pairs(tmp_path: Path) -> None:
    if not PAIRS.is_dir():
        pytest.skip("the shared real mask pairs are not beside this checkout")
    files = [f"net={PAIRS / f'UNet_sample_1_{kind}.nii.gz'}" for kind in ("pred", "label")]
    found = audit(files, cases_are_patients=True, out=tmp_path)
    assert [arm["name"] for arm in found["arms"]] == ["net"]
    truth, said = direct("UNet_sample_1", 2)
    wanted = 2 * (truth & said).sum() / (truth.sum() + said.sum())
    assert found["arms"][0]["endpoints"]["dice_channel_2"]["estimate"] == pytest.approx(wanted, abs=1e-12)
