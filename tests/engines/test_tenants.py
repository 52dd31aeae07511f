"""A process that has run an arm's own code serves that arm alone: nothing that it changes in torch meets a rival."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from equipoise.engines.local import SingleWorker, Workers
from equipoise.engines.tenants import SHARED, Waiting, tenant_of
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples

OWN = """
import numpy as np
import torch
from torch import nn

def initial(self):
    nn.init.constant_(self.weight, 0.01)

def noisy(self, image, weight, bias):
    return plain(self, torch.randn_like(image), weight, bias)

plain = nn.Conv2d._conv_forward
nn.Conv2d.reset_parameters, nn.Conv2d._conv_forward = initial, noisy
torch.set_num_threads(1)
torch.backends.mkldnn.enabled = False
np.seterr(all="ignore")

class Net(nn.Module):
    def __init__(self, in_channels, out_channels, spatial_dims):
        super().__init__()
        torch.set_default_dtype(torch.float64)
        self.out = nn.Linear(in_channels, out_channels, dtype=torch.float32)
        self.dtype = torch.float32

    def forward(self, image):
        return self.out(image.mean((2, 3)))
"""


def job(place, name, model, optimizer="adam", **changes):
    arm = Arm.model_validate({"name": name, "model": model, "optimizer": optimizer})
    places = (place / "jobs" / name, place / "samples", place)
    training = TrainingSection(epochs=1, batch_size=8)
    made = Job(arm, 0, 0, *places, "classification", ("x", "y"), 1, 2, training, {}, "auc")
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("model", "optimizer", "own"),
    [
        ("unet", "adam", False),
        ("equipoise.models:DenseNet", "equipoise.optimizers:Lion", False),
        ("mine:Net", "adam", True),
        ("unet", "mine:Steps", True),
        ("equipoise.zoo:timm", "adam", True),
    ],
)
def test_a_tenant_is_an_arm_with_code_that_is_not_ours(tmp_path, model, optimizer, own):
    assert tenant_of(job(tmp_path, "a", model, optimizer)) == ("a" if own else SHARED)


def test_nnunet_has_processes_of_its_own(tmp_path):
    arm = Arm.model_validate({"name": "n", "model": "nnunet"})
    assert tenant_of(replace(job(tmp_path, "a", "unet"), arm=arm)) == "n"


def test_the_job_of_a_call_is_seen_wherever_it_stands(tmp_path):
    own, plain = job(tmp_path, "a", "mine:Net"), job(tmp_path, "b", "unet")
    for argument in (own, (own, 3), ([own], None), {"job": own, "verdicts": {}}, [([own], 1), 2]):
        assert tenant_of(argument) == "a"
    assert tenant_of(([own, plain], None)) == "a b"
    assert tenant_of(replace(plain, members=(own, plain))) == "a b"
    assert tenant_of(([plain], None)) == tenant_of("text") == tenant_of(None) == SHARED


def test_calls_of_one_tenant_are_taken_together(tmp_path):
    own, plain = job(tmp_path, "a", "mine:Net"), job(tmp_path, "b", "unet")
    waiting = Waiting([plain, own, plain, own])
    taken = [waiting.take(tenant) for tenant in (SHARED, SHARED, SHARED, "a", "a")]
    assert [None if call is None else call[0] for call in taken] == [0, 2, 1, 3, None]


@pytest.mark.long
def test_a_process_changes_hands_only_where_no_own_code_ran_in_it(tmp_path):
    own, other = job(tmp_path, "a", "mine:Net"), job(tmp_path, "b", "mine:Net")
    plain = job(tmp_path, "c", "unet")
    worker = SingleWorker(1)
    processes = []
    for argument in (plain, plain, own, own, other, plain, plain):
        assert worker.call("builtins:repr", argument).startswith("Job(")
        processes.append(worker.process.pid)
    worker.stop()
    assert processes[0] == processes[1] == processes[2] == processes[3]
    assert processes[5] == processes[6]
    assert len(set(processes)) == 3


@pytest.mark.long
def test_a_rival_trains_as_if_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CORES", "1")
    (tmp_path / "tampering_net.py").write_text(OWN)
    for part, n in (("train", 16), ("validation", 8)):
        images = np.random.default_rng(n).normal(size=(n, 1, 16, 16)).astype(np.float32)
        names = tuple(f"{part}{i}" for i in range(n))
        Samples(images, np.arange(n) % 2, names, names).save(tmp_path / "samples" / part)
    weights = {}
    for beside in (False, True):
        rival = job(tmp_path, "b", {"name": "unet", "preset": "tiny"}, folder=tmp_path / f"{beside}")
        jobs = [job(tmp_path, "a", "tampering_net:Net"), rival] if beside else [rival]
        with Workers(1) as workers:
            done = dict(workers.run("equipoise.training.jobs:train", jobs, lambda: None))
        assert [one["reason"] for one in done.values()] == [None] * len(jobs)
        weights[beside] = rival.weights_file.read_bytes()
    assert weights[False] == weights[True]
    assert load_file(rival.weights_file)
