"""Every recipe as a setting of a job: it trains, resumes with the same bits after a kill, and predicts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from equipoise.errors import ProtocolError
from equipoise.protocol import Arm, InferenceSection, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Grid, Samples
from equipoise.training.loop import train as train_module
from equipoise.training.loop.arm import build_model
from equipoise.training.loop.train import build_learner, train

RECIPES = {
    "deep supervision": {"deep_supervision": True},
    "last epochs": {"average_last": 2},
    "checkpointing": {"gradient_checkpointing": True},
    "balanced": {"sampling": "balanced"},
    "dice": {"dice": {"over": "case", "absent": "left-out", "background": False}},
    "all": {
        "deep_supervision": True, "average_last": 2, "gradient_checkpointing": True, "sampling": "balanced",
        "dice": {"absent": "left-out"},
    },
}  # fmt: skip
MODELS = {"unet": "tiny", "deeplab": "tiny", "densenet": "tiny"}


def masks(n, seed, prefix):
    generator = np.random.default_rng(seed)
    images = generator.normal(0, 0.3, (n, 1, 32, 32)).astype(np.float32)
    targets = np.zeros((n, 32, 32), np.uint8)
    for index in range(n):
        row, column = generator.integers(4, 20, 2)
        if index % 3:
            targets[index, row : row + 8, column : column + 8] = 1 + index % 2
    images[:, 0] += targets
    names = tuple(f"{prefix}{i}" for i in range(n))
    grid = Grid('{"steps": [], "spacing_mm": [1.0, 1.0]}', (1.0, 1.0))
    return Samples(images, targets, names, names, (grid,) * n)


@pytest.fixture
def job(tmp_path):
    for part, n, seed in (("train", 12, 0), ("validation", 4, 1)):
        masks(n, seed, part).save(tmp_path / "samples" / part)
    training = TrainingSection(epochs=3, batch_size=4, loss="dice-cross-entropy", patch=24)
    return Job(
        arm_of("unet"), 0, 0, tmp_path / "jobs" / "a", tmp_path / "samples", tmp_path, "segmentation",
        ("background", "one", "two"), 1, 2, training, {"flip": ["horizontal"]}, "dice",
        regions={"one": (1,), "two": (2,)}, inference=InferenceSection(mirror=("horizontal",)),
    )  # fmt: skip


def arm_of(model, **settings):
    settings = {"name": model, "preset": MODELS.get(model, "tiny"), **settings}
    return Arm.model_validate({"name": "arm", "model": settings, "optimizer": {"name": "adam", "lr": 0.01}})


def with_recipe(job, recipe, model="unet"):
    training = TrainingSection.model_validate(job.training.model_dump() | recipe)
    return replace(job, arm=arm_of(model), training=training)


@pytest.mark.long
@pytest.mark.parametrize("name", RECIPES)
def test_a_killed_job_ends_with_the_same_bits(job, tmp_path, monkeypatch, name):
    job = with_recipe(job, RECIPES[name], "densenet" if name == "all" else "unet")
    other = replace(job, folder=tmp_path / "jobs" / "b")
    assert train(other)["reason"] is None
    real, calls = train_module.train_epoch, []

    def stops(*arguments):
        if len(calls) == 2:  # of three epochs, so that an average of the last two is cut in the middle
            raise KeyboardInterrupt
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(train_module, "train_epoch", stops)
    with pytest.raises(KeyboardInterrupt):
        train(job)
    monkeypatch.undo()
    assert train(job)["reason"] is None
    a, b = load_file(job.weights_file), load_file(other.weights_file)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in b)


@pytest.mark.long
def test_checkpointing_gives_the_bits_of_training_without_it(job, tmp_path):
    for model in MODELS:
        plain = replace(with_recipe(job, {}, model), folder=tmp_path / "jobs" / f"{model}-plain")
        twice = with_recipe(job, {"gradient_checkpointing": True}, model)
        twice = replace(twice, folder=tmp_path / "jobs" / f"{model}-twice")
        train(plain)
        train(twice)
        a, b = load_file(plain.weights_file), load_file(twice.weights_file)
        assert all(torch.equal(a[key], b[key]) for key in b), model


@pytest.mark.long
def test_the_chosen_weights_are_the_mean_of_the_last_epochs(job, monkeypatch):
    job = with_recipe(job, {"average_last": 2, "epochs": 4})
    ends, real = [], train_module.train_epoch

    def noted(learner, *arguments):
        loss = real(learner, *arguments)
        ends.append({name: value.detach().clone() for name, value in learner.model.named_parameters()})
        return loss

    monkeypatch.setattr(train_module, "train_epoch", noted)
    monkeypatch.setattr(train_module._Training, "_is_best", lambda self, row: row["epoch"] == 4)
    train(job)
    for name, value in load_file(job.weights_file).items():
        torch.testing.assert_close(value, (ends[2][name] + ends[3][name]) / 2)


def test_the_setting_of_an_arm_itself_comes_first(job):
    supervised = with_recipe(job, {"deep_supervision": True})
    assert any(name.startswith("coarse_heads") for name in build_model(supervised).state_dict())
    own = replace(supervised, arm=arm_of("unet", deep_supervision=False))
    assert not any(name.startswith("coarse_heads") for name in build_model(own).state_dict())


def test_a_model_that_cannot_is_refused_by_name(job):
    fused = arm_of("latefusion", encoder="unet")
    with pytest.raises(ProtocolError, match="'latefusion' has none; leave it out"):
        build_model(replace(with_recipe(job, {"deep_supervision": True}), arm=fused))


def test_two_averages_at_once_are_refused(job):
    job = with_recipe(job, {"average_last": 1})
    free = job.arm.model_copy(update={"optimizer": Arm.model_validate(
        {"name": "a", "model": "unet", "optimizer": "scheduleFreeAdamW"}).optimizer})  # fmt: skip
    with pytest.raises(ProtocolError, match="training.average_last averages the weights, and so does"):
        build_learner(replace(job, arm=free), torch.device("cpu"), masks(4, 0, "x"))
