import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.loop.arm import build_model
from equipoise.training.loop.determinism import seeded
from equipoise.training.loop.initial_weights import freeze, frozen_norm_layers, prepare_weights, pretrained_hashes
from equipoise.training.loop.train import train

NETS = """
from torch import nn

class Two(nn.Module):
    def __init__(self, in_channels, out_channels, spatial_dims):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Sequential(nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, out_channels))

    def forward(self, x):
        return self.head(self.encoder(x))
"""


@pytest.fixture
def job(tmp_path):
    (tmp_path / "nets_for_initial_weights.py").write_text(NETS)
    for part, seed in (("train", 0), ("validation", 1)):
        images = np.random.default_rng(seed).normal(size=(16, 1, 8, 8)).astype(np.float32)
        names = tuple(f"{part}{i}" for i in range(16))
        Samples(images, np.arange(16) % 2, names, names).save(tmp_path / "samples" / part)
    places = (tmp_path / "jobs" / "a", tmp_path / "samples", tmp_path)
    training = TrainingSection(epochs=2, batch_size=8, seeds=(0,))
    return Job(arm_of(), 0, 0, *places, "classification", ("x", "y"), 1, 2, training, {}, "auc")


def arm_of(**settings):
    return Arm.model_validate({"name": "two", "model": "nets_for_initial_weights:Two", **settings})


def fresh(job, seed):
    with seeded(seed):
        return build_model(job)


def file_of(model, path, names=lambda name: name):
    save_file({names(name): value.contiguous() for name, value in model.state_dict().items()}, path)
    return path


def test_weights_start_from_the_file_beside_the_protocol(job, tmp_path):
    other = fresh(job, "other")
    file_of(other, tmp_path / "net.safetensors")
    found = fresh(replace(job, arm=arm_of(pretrained="net.safetensors")), "own")
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), other.parameters(), strict=True))


def test_names_may_be_changed_and_parts_stay_random(job, tmp_path):
    other = fresh(job, "other")
    file_of(other, tmp_path / "net.safetensors", lambda name: name.replace("encoder.", "features."))
    pretrained = {"file": "net.safetensors", "rename": {"features.": "encoder."}, "keep": ["head"]}
    found, own = fresh(replace(job, arm=arm_of(pretrained=pretrained)), "own"), fresh(job, "own")
    assert torch.equal(found.encoder[0].weight, other.encoder[0].weight)
    assert torch.equal(found.head[3].weight, own.head[3].weight)


def test_a_file_that_does_not_fit_is_refused(job, tmp_path):
    save_file({"nothing": torch.zeros(1)}, tmp_path / "net.safetensors")
    with pytest.raises(EquipoiseError, match="does not fit the model"):
        fresh(replace(job, arm=arm_of(pretrained="net.safetensors")), "own")
    with pytest.raises(EquipoiseError, match="cannot be read as safetensors"):
        fresh(replace(job, arm=arm_of(pretrained="missing.safetensors")), "own")


@pytest.mark.long
def test_frozen_parameters_and_their_statistics_stay_through_training(job, tmp_path):
    start = file_of(fresh(job, "other"), tmp_path / "net.safetensors")
    job = replace(job, arm=arm_of(pretrained="net.safetensors", freeze=["encoder.*"]))
    done = train(job)
    assert done["status"] == "finished", done["reason"]
    before, after = load_file(start), load_file(job.weights_file)
    for name, value in after.items():
        if "num_batches" not in name:
            assert torch.equal(value, before[name]) == name.startswith("encoder."), name


def test_patterns_freeze_what_they_match():
    model = nn.ModuleDict({"stem": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    freeze(model, ["stem.w*", "head.bias"])
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {"stem.weight", "head.bias"}


@pytest.mark.parametrize(
    ("patterns", "sentence"),
    [(["stme.*"], r"freeze names 'stme.\*'.*did you mean 'stem.\*'"), (["*"], "leaves nothing to train")],
)
def test_patterns_that_cannot_be_meant_are_refused(patterns, sentence):
    model = nn.ModuleDict({"stem": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    with pytest.raises(ProtocolError, match=sentence):
        freeze(model, patterns)


def test_only_wholly_frozen_normalisation_rests():
    model = nn.ModuleList([nn.BatchNorm2d(2), nn.BatchNorm2d(2), nn.BatchNorm2d(2, affine=False), nn.Linear(1, 1)])
    freeze(model, ["0.*", "1.bias", "3.*"])
    assert frozen_norm_layers(model) == (model[0],)


def test_the_record_holds_the_hash_of_the_file(job, tmp_path):
    file = file_of(fresh(job, "other"), tmp_path / "net.safetensors")
    jobs = [job, replace(job, arm=arm_of(pretrained="net.safetensors"))]
    assert pretrained_hashes(jobs[:1]) == {}
    assert pretrained_hashes(jobs) == {"two": hashlib.sha256(file.read_bytes()).hexdigest()}


def test_nothing_stated_changes_nothing(job, tmp_path):
    model = fresh(job, "own")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    prepare_weights(model, arm_of(), tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
