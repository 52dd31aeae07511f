"""A trial of segmenters from files to the report, in 2D and 3D."""

from pathlib import Path

import numpy as np
import pytest

import equipoise
from equipoise.errors import EquipoiseError
from equipoise.evaluation.predictions import read_parquet
from equipoise.protocol import Protocol
from equipoise.testing.phantoms.brats import write_brats
from equipoise.training.preparation.staging import stage
from equipoise.trials.plan import plan, read

pytestmark = pytest.mark.usefixtures("in_this_process")

VOLUMES = """
[cohort]
source = "brats"
path = "cases"
task = "segmentation"
ids = "plain"
[split]
fractions = [0.5, 0.25, 0.25]
[preprocessing]
scale = "zscore"
crop = {margin_mm = 2}
[augmentation]
flip = ["horizontal"]
[training]
epochs = 2
batch_size = 2
patch = [16, 16, 16]
patches_per_case = 2
seeds = [0, 1, 2]
[inference]
overlap = 0.25
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
[[arms]]
name = "densenet"
model = {name = "densenet", preset = "tiny"}
"""

SHARED = Path(__file__).resolve().parents[1] / "shared_trials"
SQUARES = (SHARED / "segmentation.toml").read_text(encoding="utf-8")
SLICES = (SHARED / "squares_for_trial.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def volumes(tmp_path_factory, in_this_process):
    folder = tmp_path_factory.mktemp("volumes")
    write_brats(folder / "cases", cases=8, shape=(28, 26, 24))
    (folder / "protocol.toml").write_text(VOLUMES)
    results = equipoise.run(folder / "protocol.toml", folder / "run")
    return folder, results


@pytest.mark.trial
def test_a_trial_of_volumes_reports_every_region(volumes):
    folder, results = volumes
    assert results["endpoints"]["primary"] == "dice"
    assert [rule["name"] for rule in results["baselines"]] == ["empty-mask", "intensity-rule", "mean-mask"]
    table = read_parquet(folder / "run" / "jobs" / "unet" / "0-0" / "predictions.parquet")
    assert {"dice", "dice_WT", "hd95_TC", "surface_dice_ET", "shared_voxels_WT"} <= set(table.metrics)
    assert set(table.split) == {"validation", "test"}
    for arm in results["arms"]:
        assert arm["failed_jobs"] == 0
        assert {"dice", "hd95", "surface_dice"} <= set(arm["endpoints"])
        assert 0 <= arm["endpoints"]["dice"]["estimate"] <= 1
    page = (folder / "run" / "report.html").read_text()
    assert "WT" in page


@pytest.mark.trial
def test_truth_voxels_are_those_of_the_files(volumes):
    folder, _ = volumes
    cohort = read(folder / "protocol.toml")[1]
    table = read_parquet(folder / "run" / "jobs" / "unet" / "0-0" / "predictions.parquet")
    for row, name in enumerate(table.case):
        case = next(case for case in cohort.cases if case.id == name)
        mask = case.read().mask
        assert table.metrics["truth_voxels_WT"][row] == np.count_nonzero(mask)


@pytest.fixture
def squares(segmentation_trial):
    """The run folder of a finished trial, and its results; only to look at."""
    return segmentation_trial.run, segmentation_trial.results


def test_segmenters_learn(squares):
    folder, results = squares
    assert results["arms"][0]["endpoints"]["dice"]["estimate"] > 0.8
    slices = np.load(folder / "jobs" / "unet" / "0-0" / "slices.npz")
    truths = np.load(folder / "truths.npz")
    assert set(slices.files) == set(truths.files)
    assert np.mean([(slices[n] == truths[n]).mean() for n in truths.files]) > 0.9


def test_the_masks_of_a_trial_audited_give_its_numbers(squares, tmp_path):
    """In 2D the planes that a run keeps are its whole masks: measured anew, they end in the same numbers."""
    folder, results = squares
    kept = {"truth": folder / "truths.npz"} | {f"seed{s}": folder / f"jobs/unet/0-{s}/slices.npz" for s in (0, 1)}
    for name, file in kept.items():
        (tmp_path / name).mkdir()
        for case, mask in np.load(file).items():
            np.save(tmp_path / name / f"{case}.npy", mask)
    found = equipoise.audit(
        [f"unet={tmp_path / 'seed0'}", f"unet={tmp_path / 'seed1'}"], truth=tmp_path / "truth", regions=["square"],
        patients={f"c{i:02d}": f"p{i:02d}" for i in range(40)}, secondary=results["endpoints"]["secondary"],
    )  # fmt: skip
    assert found["arms"][0]["endpoints"] == results["arms"][0]["endpoints"]


def near(ours, theirs):
    return ours == theirs or ours == pytest.approx(theirs, rel=1e-12, abs=1e-15)


@pytest.mark.trial
def test_the_table_of_a_trial_audited_gives_its_comparisons(volumes):
    """The trial's sums run over its baselines too, which may move the last bit."""
    folder, results = volumes
    jobs = [folder / "run/jobs" / arm["name"] for arm in results["arms"]]
    files = [file for job in jobs for file in sorted(job.glob("*/predictions.parquet"))]
    found = equipoise.audit(files, secondary=results["endpoints"]["secondary"], margin=results["endpoints"]["margin"])
    for ours, theirs in zip(found["arms"], results["arms"], strict=True):
        for endpoint, wanted in theirs["endpoints"].items():
            for key in ("estimate", "low", "high", "se", "df", "seed_sd"):
                assert near(ours["endpoints"][endpoint][key], wanted[key])
    for ours, theirs in zip(found["comparisons"], results["comparisons"], strict=True):
        assert (ours["a"], ours["b"], ours["verdict"], ours["reason"]) == tuple(
            theirs[key] for key in ("a", "b", "verdict", "reason")
        )
        for key in ("difference", "low", "high", "p", "se", "df"):
            assert near(ours[key], theirs[key])


@pytest.mark.trial
def test_images_of_several_shapes_need_a_patch(tmp_path):
    (tmp_path / "shapes_for_trial.py").write_text(
        SLICES.replace("(24, 20)", "(24, 20 + index % 2)").replace("(1, 24, 20)", "(1, 24, 20 + index % 2)")
    )
    text = SQUARES.replace("squares_for_trial", "shapes_for_trial")
    with pytest.raises(EquipoiseError, match=r"differ in shape; set training.patch"):
        equipoise.run(Protocol.parse(text, folder=tmp_path), tmp_path / "run")
    patched = text.replace("batch_size = 4", "batch_size = 4\npatch = 16").replace("epochs = 8", "epochs = 1")
    results = equipoise.run(Protocol.parse(patched, folder=tmp_path), tmp_path / "patched")
    assert results["arms"][0]["failed_jobs"] == 0


@pytest.mark.trial
def test_regions_may_be_answered_by_themselves(volumes, tmp_path):
    text = VOLUMES.replace("patches_per_case = 2", 'targets = "regions"').replace("seeds = [0, 1, 2]", "seeds = [0]")
    results = equipoise.run(
        Protocol.parse(text.split('[[arms]]\nname = "densenet')[0], folder=volumes[0]), tmp_path / "run"
    )
    assert results["arms"][0]["failed_jobs"] == 0
    assert results["arms"][0]["endpoints"]["dice_WT"]["estimate"] >= 0


@pytest.mark.trial
def test_an_unknown_region_is_told_before_training(volumes, tmp_path):
    text = VOLUMES + '[endpoints]\nprimary = "dice_XX"\n'
    with pytest.raises(EquipoiseError, match="'dice_XX' is unknown.*dice_WT"):
        equipoise.run(Protocol.parse(text, folder=volumes[0]), tmp_path / "run")


@pytest.mark.trial
def test_killed_and_resumed_volumes_end_in_the_same_bits(volumes, tmp_path, killed_and_resumed_ends_in_the_same_bits):
    trial = plan(*read(volumes[0] / "protocol.toml"), tmp_path)
    for part in ("train", "validation"):
        stage(trial.cohort, getattr(trial.folds[0], part), trial.pipeline, tmp_path / "samples" / "0" / part)
    killed_and_resumed_ends_in_the_same_bits(trial.jobs[0], tmp_path / "other")


@pytest.mark.trial
def test_what_a_missing_modality_costs_is_measured_and_reported(tmp_path):
    two = SLICES.replace("(1, 24, 20)) + mask", "(2, 24, 20)) + mask * np.array([1.0, 0.3])[:, None, None]")
    (tmp_path / "two_for_trial.py").write_text(two.replace('("image",)', '("bright", "faint")'))
    text = SQUARES.replace("squares_for_trial", "two_for_trial").replace("epochs = 8", "epochs = 6")
    text += (
        '[[arms]]\nname = "late"\nmodel = {name = "late-fusion", encoder = "unet", preset = "tiny", '
        'modality_dropout = 0.3}\noptimizer = {name = "adam", lr = 0.01}\n[inference]\nmissing_modalities = true\n'
    )
    results = equipoise.run(Protocol.parse(text, folder=tmp_path), tmp_path / "run")
    rows = {(row["arm"], row["modality"]): row for row in results["missing_modalities"]}
    assert set(rows) == {(arm, name) for arm in ("unet", "late") for name in ("bright", "faint")}
    assert rows["late", "bright"]["change"] < rows["late", "faint"]["change"] < 0.1
    page = (tmp_path / "run" / "report.html").read_text()
    assert "When a modality is missing" in page
    assert "without bright" in page
    (tmp_path / "run" / "jobs" / "late" / "0-0" / "without-0.parquet").write_bytes(b"spoilt")
    again = equipoise.report.write_report(tmp_path / "run")
    assert any("without-0.parquet is not a readable" in warning for warning in again["warnings"])
