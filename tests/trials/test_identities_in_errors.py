"""Names that own code says in its errors, its warnings and its endpoints stand in no file of a run folder."""

import json

import numpy as np
import pytest
from PIL import Image
from trials.planted_names import CANARY, names_in

import equipoise

pytestmark = pytest.mark.usefixtures("jobs_here")
PROTOCOL = """
[cohort]
source = "manifest"
path = "list.csv"
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 3
batch_size = 8
seeds = [0, 1, 2]
[endpoints]
secondary = ["accuracy", "telling_net:metric"]
[[arms]]
name = "fails"
model = {name = "telling_net:Net", fails = true}
[[arms]]
name = "warns"
model = "telling_net:Net"
[[arms]]
name = "tiny"
model = {name = "unet", preset = "tiny"}
"""
NET = f"""
import warnings
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, out_channels, spatial_dims, fails=False):
        super().__init__()
        self.fails, self.out, self.steps = fails, nn.Linear(in_channels, out_channels), 0
        self.seed = torch.initial_seed()

    def forward(self, image):
        self.steps += self.training
        if self.steps > 6 and self.fails and self.seed % 3:
            raise RuntimeError(
                "cannot read {CANARY}-case-003 Hans {CANARY} in /data/{CANARY}_9/scan.dcm; '{CANARY} Schmidt'"
            ) from ValueError("{CANARY} the cause")
        if self.steps > 6:
            warnings.warn("{CANARY} has a strange scan", stacklevel=self.steps % 3 + 1)
        return self.out(image.mean((2, 3)))

def metric(truth, scores):
    if len(truth) == TEST:
        raise ValueError("{CANARY} cannot be judged")
    return float((scores.argmax(1) == truth).mean())

metric.low, metric.high = 0, 1
"""


@pytest.mark.trial
@pytest.mark.parametrize("ids", ["pseudonyms", "plain"])
def test_no_name_that_own_code_says_is_written(tmp_path, monkeypatch, caplog, ids):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "data"
    place.mkdir()
    rng, rows = np.random.default_rng(0), ["case,patient,image,label"]
    for number in range(60):
        pixels = rng.integers(0, 120, (12, 12)).astype(np.uint8) + np.uint8(60 * (number % 2))
        Image.fromarray(pixels).save(place / f"{CANARY}-{number:03d}.png")
        rows.append(f"{CANARY}-case-{number:03d},{CANARY}-p{number:03d},{CANARY}-{number:03d}.png,{number % 2}")
    (place / "list.csv").write_text("\n".join(rows) + "\n")
    (place / "telling_net.py").write_text(NET.replace("TEST", "18"))
    (place / "protocol.toml").write_text(PROTOCOL.replace('path = "list.csv"', f'path = "list.csv"\nids = "{ids}"'))
    run = tmp_path / "run"
    results = equipoise.run(place / "protocol.toml", run)
    ends = [json.loads(file.read_text()) for file in run.glob("jobs/*/*/done.json")]
    reasons = [end["reason"] for end in ends if end["status"] == "failed"]
    assert reasons, "the arm was to fail"
    assert any(end["warnings"] for end in ends if end["arm"] == "warns")
    assert f"Hans {CANARY}" in caplog.text or ids == "plain"
    assert "metric" in json.dumps(results["warnings"])
    if ids == "plain":
        assert any(f"Hans {CANARY}" in reason for reason in reasons)
        return
    assert all(reason.startswith("RuntimeError at telling_net.py, line ") for reason in reasons)
    assert names_in(run) == names_in(tmp_path / "cache") == []
