"""Ensembles as arms: made of finished runs, judged like any arm, exported whole, with no more runs than they have."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import equipoise
from equipoise.cli import main
from equipoise.deploy.bundle import RECORD, read_bundle
from equipoise.deploy.export import export
from equipoise.deploy.predictor import Bundle
from equipoise.errors import EquipoiseError, LedgerError
from equipoise.evaluation.predictions import read_parquet
from equipoise.protocol import Protocol
from equipoise.report import summarise
from equipoise.runfolder.ledger import RESTARTED, Ledger

pytestmark = [pytest.mark.trial, pytest.mark.usefixtures("in_this_process")]
PLAN = """
[cohort]
source = "phantom"
cases = 80
size = 16
[split]
fractions = [0.6, 0.15, 0.25]
[training]
epochs = 1
seeds = [0, 1, 2, 3, 4, 5]
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
[[arms]]
name = "dense"
model = {name = "densenet", preset = "tiny"}
[[arms]]
name = "both"
ensemble = ["unet", "dense"]
[[arms]]
name = "two"
ensemble = ["unet"]
members = 2
"""


@pytest.fixture(scope="module")
def trial(tmp_path_factory, in_this_process):
    out = tmp_path_factory.mktemp("ensembles") / "run"
    return out, equipoise.run(Protocol.parse(PLAN), out)


def scores(run: Path, arm: str, seed: int):
    return read_parquet(run / "jobs" / arm / f"0-{seed}" / "predictions.parquet")


def test_an_ensemble_predicts_the_mean_of_its_members(trial):
    run, _ = trial
    for arm, seed, members in (
        ("both", 3, (("unet", 3), ("dense", 3))),
        ("two", 2, (("unet", 2), ("unet", 3))),
        ("two", 0, (("unet", 0), ("unet", 1))),
    ):
        together, apart = scores(run, arm, seed), [scores(run, *member) for member in members]
        assert all((one.case == together.case).all() for one in apart)
        assert set(together.split) == {"validation", "test"}
        np.testing.assert_allclose(together.scores, np.mean([one.scores for one in apart], axis=0), atol=1e-6)


def test_it_has_as_many_runs_as_it_really_has_and_costs_what_its_members_cost(trial):
    run, results = trial
    arms = {arm["name"]: arm for arm in results["arms"]}
    assert arms["both"]["seeds"] == [0, 1, 2, 3, 4, 5]
    assert arms["two"]["seeds"] == [0, 2, 4]
    assert len(arms["two"]["endpoints"]["auc"]["by_seed"]) == 3
    assert (arms["both"]["ensemble"], arms["two"]["members"]) == (["unet", "dense"], 2)
    assert "ensemble" not in arms["unet"]
    done = {
        name: json.loads((run / "jobs" / name / "done.json").read_text())
        for name in ("both/0-1", "unet/0-1", "dense/0-1")
    }
    assert done["both/0-1"]["train_seconds"] == pytest.approx(
        done["unet/0-1"]["train_seconds"] + done["dense/0-1"]["train_seconds"], abs=2e-3
    )
    assert arms["both"]["parameters"] == arms["unet"]["parameters"] + arms["dense"]["parameters"]
    assert not results["failures"]
    assert results["ledger"]["verified"]
    page = (run / "report.html").read_text()
    assert "ensemble of 1 run of each of unet and dense" in page
    assert "no two ensembles of an arm share a run" in page
    card = (run / "model-cards" / "two.md").read_text()
    assert "ensemble of 2 runs of unet" in card
    assert "of its members" in card


def test_the_same_command_goes_on_and_changes_nothing(trial, tmp_path):
    run = Path(shutil.copytree(trial[0], tmp_path / "run"))
    before = {file: file.read_bytes() for file in run.glob("jobs/*/*/*.parquet")}
    equipoise.run(Protocol.parse(PLAN), run)
    assert {file: file.read_bytes() for file in run.glob("jobs/*/*/*.parquet")} == before


def test_an_ensemble_is_made_anew_with_a_member_and_on_the_record(trial, tmp_path):
    run = Path(shutil.copytree(trial[0], tmp_path / "run"))
    (run / "jobs" / "unet" / "0-2" / "done.json").unlink()
    equipoise.run(Protocol.parse(PLAN), run)
    again = next(event for event in Ledger(run).events if event.kind == RESTARTED)
    assert set(again.data["jobs"]) == {"unet/0-2", "both/0-2", "two/0-2"}


def test_weights_of_a_member_that_somebody_changed_are_refused(trial, tmp_path):
    run = Path(shutil.copytree(trial[0], tmp_path / "run"))
    other, changed = (run / "jobs" / "unet" / f"0-{seed}" / "checkpoint" / "model.safetensors" for seed in (0, 1))
    shutil.copy(other, changed)
    with pytest.raises(LedgerError, match="changed after the job had ended"):
        equipoise.run(Protocol.parse(PLAN), run)


def test_a_renamed_arm_is_another_plan(trial, tmp_path):
    run = Path(shutil.copytree(trial[0], tmp_path / "run"))
    with pytest.raises(LedgerError, match="belongs to another protocol"):
        equipoise.run(Protocol.parse(PLAN.replace('"dense"', '"renamed"')), run)


def test_a_bundle_of_an_ensemble_gives_the_numbers_of_its_trial(trial, tmp_path, capsys):
    run, _ = trial
    results = summarise(run, True)
    written = export(run, "both", tmp_path / "both", results=results, although="a test")
    assert written["parity"]["reproduction"]["difference"] == 0.0
    assert written["parity"]["onnx"]["probability"] < 1e-5
    record = json.loads((tmp_path / "both" / RECORD).read_text())
    assert [one["name"] for one in record["network"]["settings"]["members"]] == ["unet", "densenet"]
    assert main(["verify", str(tmp_path / "both")]) == 0
    capsys.readouterr()
    onnx_way, torch_way = (Bundle(tmp_path / "both", runtime=runtime) for runtime in ("onnx", "torch"))
    image = np.random.default_rng(0).normal(size=(2, 1, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(onnx_way.network(image), torch_way.network(image), atol=1e-4)
    assert read_bundle(tmp_path / "both").record["network"]["parameters"] == results["arms"][2]["parameters"]


def test_an_arm_that_is_an_ensemble_of_failures_has_failed(tmp_path):
    (tmp_path / "sick_for_ensembles.py").write_text(
        "from equipoise.models import UNet\n"
        "class Sick(UNet):\n"
        "    def __init__(self, *a, task='segmentation'):\n"
        "        super().__init__(*a, preset='tiny', task=task)\n"
        "        self.calls = 0\n"
        "    def forward(self, x):\n"
        "        self.calls += 1\n"
        "        return super().forward(x) * (float('nan') if self.calls > 2 else 1.0)\n"
    )
    text = PLAN.replace('{name = "densenet", preset = "tiny"}', '"sick_for_ensembles:Sick"').replace(
        "seeds = [0, 1, 2, 3, 4, 5]", "seeds = [0, 1]"
    )
    text = text[: text.index('[[arms]]\nname = "two"')]
    results = equipoise.run(Protocol.parse(text, "p", tmp_path), tmp_path / "run")
    reasons = {f"{one['arm']}/{one['seed']}": one["reason"] for one in results["failures"]}
    assert set(reasons) == {"dense/0", "dense/1", "both/0", "both/1"}
    assert reasons["both/1"].startswith("its member dense/0-1 failed: ")
    with pytest.raises(EquipoiseError):
        export(tmp_path / "run", "both", tmp_path / "bundle", results=summarise(tmp_path / "run", True), although="x")
