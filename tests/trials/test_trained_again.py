"""Jobs that are trained again in a whole trial: equal bits change nothing, other ones make it exploratory."""

import shutil
from pathlib import Path

import pytest

import equipoise
from equipoise.cohorts import store
from equipoise.errors import Interrupted
from equipoise.protocol import Protocol
from equipoise.runfolder import registry_file
from equipoise.runfolder.ledger import RESTARTED, Ledger
from equipoise.trials import prediction

NETS = """
import os
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, out_channels, spatial_dims):
        first = nn.Conv2d(in_channels, 4, 3, padding=1)
        super().__init__(first, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, out_channels))
        for _ in range(int(os.environ.get("EQUIPOISE_TEST_LUCK", "0"))):
            first.reset_parameters()
"""
PLAN = """
[cohort]
source = "phantom"
cases = 80
size = 16
[training]
epochs = 2
seeds = [0, 1, 2]
[[arms]]
name = "own"
model = "nets_trained_again:Net"
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
"""


@pytest.mark.trial
@pytest.mark.slow
def test_a_job_that_is_trained_until_it_pleases_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment variable decides how the network starts: no plan holds it, and only its results show it."""
    monkeypatch.setattr(registry_file, "cache_folder", store.cache_folder)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "nets_trained_again.py").write_text(NETS)
    (tmp_path / "plan.toml").write_text(PLAN)
    protocol, run = Protocol.load(tmp_path / "plan.toml"), tmp_path / "run"

    def stopped(*_: object) -> None:
        raise Interrupted("before the opening")

    def trained_to_the_opening() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(prediction, "record_opening", stopped)
            with pytest.raises(Interrupted):
                equipoise.run(protocol, run)

    trained_to_the_opening()
    shutil.rmtree(run / "jobs" / "own" / "0-1")
    trained_to_the_opening()
    assert [event.kind for event in Ledger(run).events].count(RESTARTED) == 1
    equal = Path(shutil.copytree(run, tmp_path / "equal"))
    results = equipoise.run(protocol, equal)
    assert (results["exploratory"], results.get("retrained")) == (False, None)
    shutil.rmtree(run / "jobs" / "own" / "0-1")
    monkeypatch.setenv("EQUIPOISE_TEST_LUCK", "1")
    results = equipoise.run(protocol, run)
    assert results["retrained"] == ["own/0-1"]
    assert any("jobs that were trained more than once gave other" in one for one in results["exploratory_reasons"])
    assert "own/0-1" in (run / "report.html").read_text()
