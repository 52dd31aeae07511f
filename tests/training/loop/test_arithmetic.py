"""What is left to a measurement is chosen by it, for all arms at once, and stands in the record of the trial."""

import json
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import equipoise
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import SETTLED, Ledger
from equipoise.training.augmentation import Augmentation
from equipoise.training.data.batches import Feed
from equipoise.training.data.samples import Samples
from equipoise.training.loop import arithmetic as choice
from equipoise.training.loop.arithmetic import settle
from equipoise.training.loop.determinism import reproducible
from equipoise.training.loop.epoch import train_epoch
from equipoise.training.loop.train import build_learner

NETS = """
import time
import torch
from torch import nn

class Net(nn.Sequential):
    slow_in, seconds, refuses = None, 0.02, None

    def __init__(self, in_channels, out_channels, spatial_dims):
        super().__init__(nn.Conv2d(in_channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, out_channels))

    def forward(self, x):
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        if dtype is self.refuses:
            raise RuntimeError("no kernel of that type")
        if dtype is self.slow_in:
            time.sleep(self.seconds)
        return super().forward(x)

class SlowPlain(Net):
    slow_in = torch.float32

class SlowHalf(Net):
    slow_in = torch.bfloat16

class SlowerPlain(Net):
    slow_in, seconds = torch.float32, 0.06

class NoHalf(SlowPlain):
    refuses = torch.bfloat16
"""


@pytest.fixture
def job(tmp_path):
    (tmp_path / "nets_for_choice.py").write_text(NETS)

    def make(name, **training):
        arm = Arm.model_validate({"name": name, "model": f"nets_for_choice:{name}"})
        section = TrainingSection.model_validate({"precision": "auto", "batch_size": 6, "epochs": 2} | training)
        places = (tmp_path / "jobs" / name, tmp_path, tmp_path)
        return Job(arm, 0, 0, *places, "classification", ("x", "y"), 1, 2, section, {}, "auc")

    return make


@pytest.fixture
def samples():
    images = np.random.default_rng(0).random((6, 1, 8, 8), dtype=np.float32)
    names = tuple("abcdef")
    return Samples(images, np.arange(6) % 2, names, names)


@pytest.mark.long
@pytest.mark.parametrize(
    ("names", "precision"),
    [
        (["SlowPlain"], "bfloat16"),
        (["SlowHalf"], "float32"),
        (["SlowerPlain", "SlowHalf"], "bfloat16"),
        (["SlowPlain", "NoHalf"], "float32"),
    ],
)
def test_the_faster_precision_is_chosen_for_all_arms_together(job, samples, names, precision):
    found = settle(([job(name) for name in names], samples, len(samples)))
    assert (found["precision"], found["compile"]) == (precision, False)
    assert set(found["measured"]) == {"float32", "bfloat16"}
    assert set(found["measured"]["float32"]) == set(names)


def test_an_arm_that_cannot_train_in_a_precision_says_why(job, samples):
    found = settle(([job("NoHalf")], samples, len(samples)))
    assert found["measured"]["bfloat16"] == {"NoHalf": "RuntimeError: no kernel of that type"}


def test_what_the_protocol_states_is_not_measured_against_anything(job, samples):
    found = settle(([job("SlowHalf", precision="bfloat16", compile="auto")], samples, len(samples)))
    assert (found["precision"], found["compile"]) == ("bfloat16", False)
    assert list(found["measured"]) == ["bfloat16", "compiled"]
    assert "too short" in found["measured"]["compiled"]["SlowHalf"]


@pytest.mark.parametrize(("start", "compiles"), [(1.0, True), (1e6, False)])
def test_compiling_must_pay_back_its_start(job, samples, monkeypatch, start, compiles):
    def cost(tried, _samples):
        return choice.Cost(0.5, start) if tried.training.compile is True else choice.Cost(1.0, 0.0)

    monkeypatch.setattr(choice, "_cost", cost)
    long = job("Net", precision="float32", compile="auto", epochs=1000)
    assert settle(([long], samples, len(samples)))["compile"] is compiles


def test_a_choice_goes_into_the_job(job):
    settled = job("Net", compile="auto").settled("bfloat16", compile=True)
    assert (settled.training.precision, settled.training.compile) == ("bfloat16", True)
    assert not settled.training.is_open
    assert job("Net").training.is_open


@pytest.mark.slow
def test_a_compiled_model_trains_as_the_plain_one(job, samples):
    losses = {}
    for compiled in (False, True):
        arm = Arm.model_validate({"name": "unet", "model": {"name": "unet", "preset": "tiny"}})
        tried = replace(job("Net"), arm=arm).settled("float32", compile=compiled)
        with reproducible(1):
            learner = build_learner(tried, torch.device("cpu"), samples)
            feed = Feed.of(tried.training, 2)
            losses[compiled] = [
                train_epoch(learner, samples, feed, Augmentation(), ("same", epoch)) for epoch in range(4)
            ]
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-4)


TRIAL = """
[trial]
name = "open"
[cohort]
source = "phantom"
cases = 120
size = 16
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 1
seeds = [0, 1, 2]
precision = "auto"
compile = "auto"
[[arms]]
name = "net"
model = "nets_for_choice:SlowPlain"
[[arms]]
name = "other"
model = "nets_for_choice:Net"
"""


@pytest.mark.trial
def test_a_trial_settles_once_records_it_and_goes_on_with_it(tmp_path):
    (tmp_path / "nets_for_choice.py").write_text(NETS)
    (tmp_path / "protocol.toml").write_text(TRIAL)
    out = tmp_path / "out"
    results = equipoise.run(tmp_path / "protocol.toml", out)
    settled = results["arithmetic"]
    assert settled["precision"] == "bfloat16"
    assert settled["measured"]["float32"]["net"] >= 0.02
    for done in out.glob("jobs/*/*/done.json"):
        assert json.loads(done.read_text())["precision"] == "bfloat16"
    kinds = [event.kind for event in Ledger(out).events]
    assert all(earlier < later for earlier, later in pairwise([kinds.index(k) for k in ("locked", SETTLED, "started")]))
    assert "chosen for all arms before training" in (out / "report.html").read_text()
    (out / "jobs" / "net" / "0-0" / "done.json").unlink()
    before = time.time()
    equipoise.run(tmp_path / "protocol.toml", out)
    assert Ledger(out).count(SETTLED) == 1
    redone = out / "jobs" / "net" / "0-0" / "done.json"
    assert redone.stat().st_mtime > before - 1
    assert json.loads(redone.read_text())["precision"] == "bfloat16"
