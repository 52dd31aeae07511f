"""nnU-Net as an arm of a whole trial, and its training killed and resumed: only where nnU-Net is installed."""

import importlib.util
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import equipoise
from equipoise.evaluation.predictions import read_parquet
from equipoise.protocol import Protocol

pytestmark = [
    pytest.mark.trial,
    pytest.mark.usefixtures("in_this_process"),
    # nnU-Net and what it needs warn of their own code
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(importlib.util.find_spec("nnunetv2") is None, reason="nnU-Net (nnunetv2) is not installed"),
]
SQUARES = Path(__file__).resolve().parents[1] / "shared_trials" / "squares_for_trial.py"
PLAN = """
[cohort]
source = "squares_for_trial:cohort"
task = "segmentation"
[split]
fractions = [0.6, 0.15, 0.25]
[training]
epochs = 1
batch_size = 4
seeds = [0]
[inference]
missing_modalities = true
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
[[arms]]
name = "nn"
model = {name = "nnunet", epochs = 2, steps_per_epoch = 2, trainer = "watched_for_nnunet:Watched"}
[[arms]]
name = "broken"
model = {name = "nnunet", epochs = 1, steps_per_epoch = 1, trainer = "watched_for_nnunet:Broken"}
"""
OWN = """
import json, os
from pathlib import Path
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

class Watched(nnUNetTrainer):
    def on_train_start(self):
        super().on_train_start()
        raw = sorted(str(file.name) for file in Path(os.environ["nnUNet_raw"]).rglob("*.nii"))
        keys = self.do_split()
        (Path(__file__).parent / "seen.json").write_text(json.dumps({"raw": raw, "train": keys[0], "val": keys[1]}))

class Broken(nnUNetTrainer):
    def train_step(self, batch):
        if "/jobs/" not in os.environ["nnUNet_raw"]:  # tried before the lock, it behaves
            return super().train_step(batch)
        raise ValueError("the loss of its author is broken")
"""


@pytest.fixture(scope="module")
def trial(tmp_path_factory, in_this_process):
    folder = tmp_path_factory.mktemp("nnunet")
    (folder / SQUARES.name).write_text(SQUARES.read_text())
    (folder / "watched_for_nnunet.py").write_text(OWN)
    return folder, equipoise.run(Protocol.parse(PLAN, "p", folder), folder / "run")


def test_an_arm_of_nnunet_is_judged_like_any(trial):
    folder, results = trial
    arm = next(arm for arm in results["arms"] if arm["name"] == "nn")
    assert arm["endpoints"]["dice"]["estimate"] is not None
    assert arm["optimizer"] is None
    done = json.loads((folder / "run" / "jobs" / "nn" / "0-0" / "done.json").read_text())
    assert done["updates"] == 4
    assert done["processor_seconds"] > 0
    assert done["peak_memory_mb"] > 100
    assert done["environment"]["nnunetv2"]
    assert results["ledger"]["verified"]
    table = read_parquet(folder / "run" / "jobs" / "nn" / "0-0" / "predictions.parquet")
    other = read_parquet(folder / "run" / "jobs" / "unet" / "0-0" / "predictions.parquet")
    assert table.case.tolist() == other.case.tolist()
    assert not (folder / "run" / "jobs" / "nn" / "0-0" / "nnunet").exists()
    assert (folder / "run" / "jobs" / "nn" / "0-0" / "without-0.parquet").is_file()


def test_nnunet_sees_training_and_validation_cases_alone(trial):
    folder, _ = trial
    seen = json.loads((folder / "seen.json").read_text())
    (fold,) = json.loads((folder / "run" / "lock.json").read_text())["split"]["folds"]
    assert (len(seen["train"]), len(seen["val"])) == (len(fold["train"]), len(fold["validation"]))
    names = [*seen["train"], *seen["val"]]
    assert seen["raw"] == sorted([f"{name}_0000.nii" for name in names] + [f"{name}.nii" for name in names])


def test_a_trainer_that_fails_is_a_row_of_the_results(trial):
    _, results = trial
    (failure,) = results["failures"]
    assert failure["arm"] == "broken"
    # The cases have pseudonyms, and what a trainer of one's own says may name patients.
    assert failure["reason"].startswith("nnU-Net failed: ValueError (its text may name patients")


def test_an_arm_of_nnunet_is_not_exported_and_the_sentence_says_what_to_use(trial, tmp_path):
    from equipoise.deploy.export import export
    from equipoise.errors import EquipoiseError
    from equipoise.report import summarise

    run = trial[0] / "run"
    with pytest.raises(EquipoiseError, match="nn is trained by nnU-Net, and a bundle cannot contain"):
        export(run, "nn", tmp_path / "bundle", results=summarise(run, True), although="x", trust_code=True)


def test_killed_and_resumed_it_ends_in_the_same_bits(tmp_path, monkeypatch):
    from nnunet_jobs import job, squares

    from equipoise.training.external import nnunet
    from equipoise.training.external.budget import Rows
    from equipoise.training.external.nnunet_process import PROGRESS, WEIGHTS

    parts = {"train": squares(4, dims=2), "validation": squares(2, dims=2, seed=1, prefix="v")}
    the_job = job(tmp_path, dims=2, epochs=3, steps_per_epoch=2)
    nnunet.run_process(the_job, parts, tmp_path / "whole")
    monkeypatch.setattr(nnunet, "LOOK_SECONDS", 0.05)

    def kills(pid):
        if Rows(tmp_path / "killed" / PROGRESS).read():
            os.kill(pid, signal.SIGKILL)
        return 0.0

    with monkeypatch.context() as patch:
        patch.setattr(nnunet, "_memory_mb", kills)
        with pytest.raises(MemoryError):
            nnunet.run_process(the_job, parts, tmp_path / "killed")
    assert len(Rows(tmp_path / "killed" / PROGRESS).read()) < 3
    nnunet.run_process(the_job, parts, tmp_path / "killed")
    whole, killed = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    assert all(np.array_equal(whole[name], killed[name]) for name in whole)
    losses = [[row["train_loss"] for row in Rows(tmp_path / name / PROGRESS).read()] for name in ("whole", "killed")]
    assert losses[0] == losses[1]
