import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import equipoise
from equipoise.errors import LedgerError, ProtocolError
from equipoise.runfolder.ledger import Ledger

PROTOCOL = """
[trial]
name = "tuned"
[cohort]
source = "phantom"
cases = 160
size = 16
[split]
fractions = [0.6, 0.15, 0.25]
[training]
epochs = 2
seeds = [0, 1, 2]
[[arms]]
name = "adam"
model = "nets_for_tuning:Net"
[[arms]]
name = "paper"
model = "nets_for_tuning:Net"
optimizer = {name = "adaptive_momentum", rule = "paper"}
[[arms]]
name = "own"
model = "nets_for_tuning:Net"
optimizer = "nets_for_tuning:Rule"
space = {optimizer.lr = {log = [1e-2, 1e2]}, model.width = [2, 4]}
[tuning]
draws = 3
epochs = 1
"""

OWN = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, out_channels, spatial_dims, width=4):
        super().__init__(nn.Conv2d(in_channels, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(width, out_channels))

class Rule(torch.optim.SGD):
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)

class Explodes(Rule):
    def step(self, closure=None):
        super().step(closure)
        if self.param_groups[0]["lr"] != 0.1:
            self.param_groups[0]["params"][0].data.fill_(float("nan"))
"""


def write(folder: Path, text: str = PROTOCOL) -> Path:
    (folder / "nets_for_tuning.py").write_text(OWN)
    (folder / "protocol.toml").write_text(text)
    return folder / "protocol.toml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, in_this_process):
    folder = tmp_path_factory.mktemp("tuned")
    results = equipoise.run(write(folder), folder / "run")
    return folder / "run", results


@pytest.mark.trial
def test_every_arm_had_the_same_draws_and_the_lock_knew_them(finished):
    folder, results = finished
    locked = json.loads((folder / "lock.json").read_text())["tuning"]
    assert locked["equal"]
    for arm in results["tuning"]["arms"]:
        assert [draw["settings"] for draw in arm["draws"]] == locked["arms"][arm["arm"]]["draws"]
        assert len(arm["draws"]) == 3
        for number in range(3):
            place = folder / "jobs" / arm["arm"] / "draws" / f"0-{number}"
            done = json.loads((place / "done.json").read_text())
            assert (done["draw"], done["epochs"]) == (number, 1)
            assert (place / "history.csv").is_file()
            assert not (place / "predictions.parquet").exists(), "a draw never sees a test case"


@pytest.mark.trial
def test_the_chosen_draw_has_the_best_validation_value_and_trains_the_jobs(finished):
    _, results = finished
    for arm, entry in zip(results["tuning"]["arms"], results["arms"], strict=True):
        values = [draw["value"] for draw in arm["draws"]]
        (chosen,) = arm["chosen"]
        assert values[chosen["draw"]] == min(value for value in values if value is not None)
        drawn = {key.partition(".")[2]: value for key, value in chosen["settings"].items()}
        assert entry["settings"]["optimizer"] | entry["settings"]["model"] == (
            ({"rule": "paper"} if entry["name"] == "paper" else {}) | drawn
        )


@pytest.mark.trial
def test_untuned_twins_stand_beside_the_tuned_arms(finished):
    folder, results = finished
    assert [entry["name"] for entry in results["untuned"]] == ["adam-untuned", "paper-untuned", "own-untuned"]
    assert all(entry["endpoints"]["auc"]["estimate"] is not None for entry in results["untuned"])
    assert [(pair["a"], pair["b"]) for pair in results["untuned_comparisons"]] == [
        (name, f"{name}-untuned") for name in ("adam", "paper", "own")
    ]
    assert {pair["a"] for pair in results["comparisons"]} | {pair["b"] for pair in results["comparisons"]} == {
        "adam",
        "paper",
        "own",
    }
    page = (folder / "report.html").read_text()
    assert "Tuning, on equal budgets" in page
    assert "3 draws of 1 epoch" in page
    assert "adam-untuned" in page
    for name in ("tuning-best", "tuning-ranks", "tuning-curves"):
        assert (folder / "figures" / f"{name}.svg").is_file()


@pytest.mark.trial
def test_settings_are_chosen_before_the_test_set_is_opened(finished):
    kinds = [event.kind for event in Ledger(finished[0]).events]
    assert kinds.count("tuned") == kinds.count("test opened") == 1
    assert kinds.index("tuned") < kinds.index("test opened")
    (tuned,) = [event for event in Ledger(finished[0]).events if event.kind == "tuned"]
    assert len(tuned.data["values"]) == 9
    assert {choice["arm"] for choice in tuned.data["chosen"]} == {"adam", "paper", "own"}


@pytest.mark.trial
def test_kill_9_at_random_moments_changes_no_number(finished, tmp_path, without_times, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))  # the other process knows no openings but its own
    command = [sys.executable, "-m", "equipoise", "run", str(write(tmp_path)), "--out", str(tmp_path / "run")]
    chance = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID", "0"))
    for _ in range(2):
        process = subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 600
        while not (tmp_path / "run" / "lock.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(chance.uniform(0.0, 4.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    results = equipoise.run(tmp_path / "protocol.toml", tmp_path / "run")
    assert without_times(results) == without_times(finished[1])


@pytest.mark.trial
def test_other_draws_are_another_plan(finished, monkeypatch):
    from equipoise.trials import plan as planning

    drawn = planning.plan_draws
    monkeypatch.setattr(planning, "plan_draws", lambda protocol: {k: v[::-1] for k, v in drawn(protocol).items()})
    with pytest.raises(LedgerError, match="was locked with other draws of tuning"):
        # as a protocol, because a file that is the finished run's own is answered without a plan
        equipoise.run(equipoise.Protocol.load(finished[0].parent / "protocol.toml"), finished[0])


@pytest.fixture(scope="module")
def uneven(tmp_path_factory, in_this_process):
    """A trial in which one arm may draw more often, and another diverges whatever is drawn."""
    folder = tmp_path_factory.mktemp("uneven")
    text = PROTOCOL.replace('name = "adam"\n', 'name = "adam"\ndraws = 5\n') + "unequal = true\n"
    text = text.replace("nets_for_tuning:Rule", "nets_for_tuning:Explodes").replace("[0, 1, 2]", "[0]")
    results = equipoise.run(write(folder, text), folder / "run")
    return results, (folder / "run" / "report.html").read_text()


@pytest.mark.trial
def test_unequal_budgets_are_said_by_the_report(uneven):
    results, page = uneven
    assert not results["tuning"]["equal"]
    assert any("unequal budgets (adam 5, paper 3, own 3 draws)" in warning for warning in results["warnings"])
    assert "Tuning, on unequal budgets" in page
    assert "3 to 5 draws" in page


@pytest.mark.trial
def test_failed_draws_are_draws_and_an_arm_without_any_other_fails(uneven):
    results, page = uneven
    own = results["tuning"]["arms"][2]
    assert [draw["value"] for draw in own["draws"]] == [None] * 3
    assert all("not finite" in draw["reasons"][0] for draw in own["draws"])
    (row,) = results["failures"]
    assert (row["arm"], row["reason"]) == ("own", "every draw of its tuning failed, so no settings could be chosen")
    assert results["untuned"][2]["endpoints"]["auc"]["estimate"] is not None
    assert "3 draws, 3 failed" in page


@pytest.mark.long
def test_a_space_with_an_unknown_setting_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(ProtocolError, match="arm 'own'.*has no setting 'lrr'; did you mean 'lr'"):
        equipoise.run(write(tmp_path, PROTOCOL.replace("optimizer.lr", "optimizer.lrr")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
