import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from equipoise.errors import Superseded
from equipoise.protocol import Arm, InferenceSection, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.loop import train as train_module
from equipoise.training.loop.checkpoint import load_latest
from equipoise.training.loop.train import train
from equipoise.training.tasks.classification import TRAINING

NETS = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self, in_channels, out_channels, spatial_dims, width=8, explode=False):
        super().__init__()
        self.explode = explode
        first = nn.Conv2d(in_channels, width, 3, padding=1)
        pool = nn.Sequential(nn.Dropout(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.body = nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(), pool, nn.Linear(width, out_channels))
        self.steps = 0

    def forward(self, x):
        y = self.body(x)
        if self.explode and self.training:
            self.steps += 1
            if self.steps > 5:
                return y * float("nan")
        return y

class LateAcross(Tiny):
    # Looks across the batch only once it has been trained for some steps, which its buffer counts.
    def __init__(self, *shape):
        super().__init__(*shape)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += float(self.training)
        y = self.body(x)
        return y + y.mean(0) * (self.seen > 2)

class Lagging(Tiny):
    # As if batch normalisation had seen almost nothing yet: its statistics are far from those of any batch.
    def eval(self):
        super().eval()
        self.body[1].running_mean.fill_(-30.0)
        self.body[1].running_var.fill_(1e-3)
        return self

class Broken(Tiny):
    def forward(self, x):
        raise KeyError("no such layer")
"""


RULES = """
import torch

class Twice(torch.optim.SGD):
    # Asks twice, and in the first step of an epoch once.
    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr=lr)
        self.calls = 0

    def step(self, closure):
        for _ in range(1 + (self.calls % 4 > 0)):
            loss = closure()
        self.calls += 1
        super().step()
        return loss
"""


def samples(n, seed, prefix):
    generator = np.random.default_rng(seed)
    targets = np.arange(n) % 2
    images = generator.normal(0, 0.3, (n, 1, 12, 12)).astype(np.float32)
    images[targets == 1, :, 3:9, 3:9] += 0.5
    names = tuple(f"{prefix}{i}" for i in range(n))
    return Samples(images, targets, names, names)


@pytest.fixture
def job(tmp_path):
    (tmp_path / "nets_for_training.py").write_text(NETS)
    for part, n, seed in (("train", 50, 0), ("validation", 20, 1)):
        samples(n, seed, part).save(tmp_path / "samples" / part)
    arm = Arm.model_validate(
        {"name": "tiny", "model": "nets_for_training:Tiny", "optimizer": {"name": "adam", "lr": 0.01}}
    )
    training = TrainingSection(epochs=4, batch_size=16)
    return Job(
        arm, 0, 0, tmp_path / "jobs" / "a", tmp_path / "samples", tmp_path, "classification", ("x", "y"), 1, 2,
        training, {"rotate_degrees": 10, "flip": ["horizontal"]}, "auc",
    )  # fmt: skip


def with_model(job, name, **settings):
    model = {"name": f"nets_for_training:{name}", **settings}
    return replace(
        job, arm=Arm.model_validate({"name": "tiny", "model": model, "optimizer": {"name": "adam", "lr": 0.01}})
    )


@pytest.mark.long
def test_a_job_learns_and_leaves_its_files(job):
    done = train(job)
    assert done["status"] == "finished"
    assert done == json.loads(job.done_file.read_text())
    rows = list(csv.DictReader((job.folder / "history.csv").read_text().splitlines()))
    columns = ["epoch", "train_loss", "validation_loss", "validation_auc", "learning_rate", "gradient_norm", "seconds"]
    assert list(rows[0]) == columns
    assert all(float(row["gradient_norm"]) > 0 for row in rows)
    assert not (job.folder / "rates.csv").exists(), "Adam has one rate for all"
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    assert done["chosen_epoch"] == int(best["epoch"])
    assert done["parameters"] == sum(p.numel() for p in load_file(job.weights_file).values() if p.ndim) - 2 * 8
    assert done["latency_ms"] > 0
    assert done["peak_memory_mb"] > 50
    assert job.epochs_behind() == 4


def history_without_times(job):
    return [
        {k: v for k, v in row.items() if k != "seconds"}
        for row in csv.DictReader((job.folder / "history.csv").read_text().splitlines())
    ]


def train_until(job, monkeypatch, epochs):
    """Train, and be interrupted after so many epochs."""
    real = train_module.train_epoch
    calls = []

    def stops(*arguments):
        if len(calls) == epochs:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(train_module, "train_epoch", stops)
    with pytest.raises(KeyboardInterrupt):
        train(job)
    monkeypatch.undo()


@pytest.mark.long
@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_an_interrupted_job_ends_with_the_same_bits(job, tmp_path, monkeypatch, stop_after):
    other = replace(job, folder=tmp_path / "jobs" / "b")
    train(other)
    train_until(job, monkeypatch, stop_after)
    assert not job.done_file.exists()
    assert job.epochs_behind() == stop_after
    torch.manual_seed(stop_after)  # the caller's stream must not matter
    done = train(job)
    a, b = load_file(job.weights_file), load_file(other.weights_file)
    assert all(torch.equal(a[name], b[name]) for name in b)
    assert history_without_times(job) == history_without_times(other)
    assert done["chosen_epoch"] == json.loads(other.done_file.read_text())["chosen_epoch"]


@pytest.mark.long
def test_who_was_overtaken_in_the_middle_of_an_epoch_writes_nothing_more(job, monkeypatch):
    real, left = train_module.train_epoch, {}

    def overtaken(*arguments):
        if load_latest(job.folder / "checkpoint") is not None and not left:
            left["training"] = True
            assert train(job)["status"] == "finished"
            left["files"] = {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()}
        return real(*arguments)

    monkeypatch.setattr(train_module, "train_epoch", overtaken)
    with pytest.raises(Superseded, match="taken over by another process, which has ended"):
        train(job)
    assert {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()} == left["files"]


@pytest.mark.long
def test_two_runs_of_one_job_are_equal_and_seeds_differ(job, tmp_path):
    train(job)
    again = replace(job, folder=tmp_path / "jobs" / "again")
    train(again)
    assert history_without_times(job) == history_without_times(again)
    other = replace(job, folder=tmp_path / "jobs" / "other", seed=1)
    train(other)
    assert history_without_times(job) != history_without_times(other)


@pytest.mark.long
def test_training_leaves_the_callers_random_stream_alone(job):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train(job)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.long
def test_divergence_is_a_recorded_failure_that_names_the_cases(job):
    done = train(with_model(job, "Tiny", explode=True))
    assert done["status"] == "failed"
    assert "not finite in epoch 3, 2 times" in done["reason"]
    assert "train" in done["reason"].split("cases ")[1]
    assert json.loads(job.done_file.read_text()) == done


def test_the_updates_of_a_job_and_their_gradients_are_recorded(job, tmp_path):
    (tmp_path / "rules_for_training.py").write_text(RULES)
    arm = Arm.model_validate(
        {"name": "tiny", "model": "nets_for_training:Tiny", "optimizer": "rules_for_training:Twice"}
    )
    done = train(replace(job, arm=arm))
    # 50 cases in batches of 16 are four updates, in four epochs.
    assert (done["updates"], done["gradient_evaluations"]) == (16, 1.75)
    assert train(replace(job, folder=tmp_path / "jobs" / "b"))["gradient_evaluations"] == 1.0


def test_a_model_that_breaks_is_a_recorded_failure(job):
    done = train(with_model(job, "Broken"))
    assert done["status"] == "failed"
    assert "KeyError" in done["reason"]


def test_a_network_that_looks_across_the_batch_only_when_trained_is_a_recorded_failure(job):
    done = train(with_model(job, "LateAcross"))
    assert done["status"] == "failed"
    assert re.match("its trained model answers an image differently in evaluation with other images", done["reason"])
    assert not job.predictions_file.is_file()


@pytest.mark.long
def test_finite_losses_far_above_those_of_guesses_are_a_divergence(job):
    wild = {"name": "tiny", "model": "nets_for_training:Tiny", "optimizer": {"name": "sgd", "lr": 1e6}}
    done = train(replace(job, arm=Arm.model_validate(wild)))
    assert done["status"] == "failed"
    assert "times that of guesses" in done["reason"]


@pytest.mark.long
def test_statistics_of_batches_that_lag_behind_are_no_divergence(job):
    """Running statistics of the first batches make the validation loss absurd while the training loss falls."""
    done = train(with_model(job, "Lagging"))
    assert done["status"] == "finished"
    (note,) = done["warnings"]
    assert re.search("validation loss of its chosen epoch, .* did not diverge", note)


def test_a_full_disk_is_not_the_arms_failure(job, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(train_module.checkpoint, "save", full)
    with pytest.raises(OSError, match="No space left"):
        train(job)
    assert not job.done_file.exists()


def test_the_end_of_a_dead_process_is_written_down(job):
    job.folder.mkdir(parents=True)
    job.write_end(status="failed", reason="signal 9")
    assert train(job)["status"] == "failed"
    assert train(job)["reason"] == "signal 9"


@pytest.mark.long
@pytest.mark.parametrize(
    "training",
    [
        {"class_weights": "balanced"},
        {"loss": "focal"},
        {"precision": "bfloat16"},
        {"clip_norm": 0.5},
        {"select": "primary"},
        {"schedule": "cosine"},
        {"schedule": {"name": "cosine", "warm_up": 0.2, "floor": 0.1}},
        {"schedule": "one-cycle"},
        {"schedule": {"name": "plateau", "patience": 1}},
        {"accumulate": 2},
        {"ema": 0.9},
        {"sampling": "balanced"},
        {"mixup": 0.4, "class_weights": "balanced"},
        {"patience": 1},
        pytest.param({"compile": True}, marks=pytest.mark.slow),
        pytest.param({"compile": True, "ema": 0.9, "precision": "bfloat16"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_setting_trains_and_resumes_bit_equal(job, tmp_path, monkeypatch, training):
    job = replace(job, training=TrainingSection(epochs=3, batch_size=16, **training))
    other = replace(job, folder=tmp_path / "jobs" / "b")
    done = train(other)
    assert done["status"] == "finished", done["reason"]
    train_until(job, monkeypatch, 1)
    train(job)
    a, b = load_file(job.weights_file), load_file(other.weights_file)
    assert all(torch.equal(a[name], b[name]) for name in b)
    assert history_without_times(job) == history_without_times(other)


@pytest.mark.long
@pytest.mark.parametrize(
    ("frozen", "change"),
    [
        ((), {"inference": InferenceSection(mirror=("horizontal",))}),
        (("body.0.*", "body.1.*"), {}),
        (("body.0.*",), {"training": TrainingSection(epochs=3, batch_size=16, ema=0.9, accumulate=2)}),
    ],
)
def test_mirrored_and_partly_frozen_jobs_resume_bit_equal(job, tmp_path, monkeypatch, frozen, change):
    job = replace(job, arm=job.arm.model_copy(update={"freeze": frozen}), **change)
    other = replace(job, folder=tmp_path / "jobs" / "b")
    assert train(other)["status"] == "finished"
    train_until(job, monkeypatch, 1)
    train(job)
    a, b = load_file(job.weights_file), load_file(other.weights_file)
    assert all(torch.equal(a[name], b[name]) for name in b)
    assert history_without_times(job) == history_without_times(other)


@pytest.mark.long
@pytest.mark.parametrize("select", ["loss", "primary"])
def test_early_stopping_waits_its_epochs_and_is_recorded(job, tmp_path, monkeypatch, select):
    values = iter(
        [0.5, 0.4, 0.45, 0.4, 0.1]
    )  # the second epoch is the best before patience ends; the fifth never comes
    sign = 1 if select == "loss" else -1

    def validates(*_):
        value = next(values)
        return (value, 0.5) if select == "loss" else (0.7, 1 + sign * value)

    monkeypatch.setattr(type(TRAINING), "validate", validates)
    job = replace(job, training=TrainingSection(epochs=9, batch_size=16, patience=2, select=select))
    done = train(job)
    assert (done["chosen_epoch"], done["stopped_epoch"], done["epochs"]) == (2, 4, 9)
    assert len(history_without_times(job)) == 4


@pytest.mark.long
def test_patience_that_is_not_used_up_changes_nothing(job, tmp_path):
    other = replace(job, folder=tmp_path / "jobs" / "b", training=TrainingSection(epochs=4, batch_size=16, patience=4))
    assert train(job)["stopped_epoch"] is None
    assert train(other)["stopped_epoch"] is None
    assert history_without_times(job) == history_without_times(other)


def test_a_moving_average_beside_an_optimizer_that_averages_is_refused(job):
    arm = Arm.model_validate({"name": "tiny", "model": "nets_for_training:Tiny", "optimizer": "schedule_free_adamw"})
    done = train(replace(job, arm=arm, training=TrainingSection(epochs=1, ema=0.9)))
    assert "training.ema averages the weights, and so does the optimizer 'schedule_free_adamw'" in done["reason"]


def test_the_average_is_what_is_kept(job):
    train(replace(job, training=TrainingSection(epochs=1, batch_size=16, ema=0.9)))
    state = load_latest(job.folder / "checkpoint")
    kept = load_file(job.weights_file)
    assert all(torch.equal(kept[name], value) for name, value in state["average"]["weights"].items())
    assert not torch.equal(kept["body.0.weight"], state["model"]["body.0.weight"])
    assert not torch.equal(kept["body.1.running_mean"], state["model"]["body.1.running_mean"])


@pytest.mark.long
@pytest.mark.parametrize("name", ["schedule_free_adamw", "sam", "lion", "momentum", "adaptive_momentum"])
def test_optimizers_with_needs_train_and_resume_bit_equal(job, tmp_path, monkeypatch, name):
    arm = Arm.model_validate({"name": "tiny", "model": "nets_for_training:Tiny", "optimizer": name})
    job = replace(job, arm=arm)
    other = replace(job, folder=tmp_path / "jobs" / "b")
    assert train(other)["status"] == "finished"
    train_until(job, monkeypatch, 2)
    train(job)
    assert load_latest(job.folder / "checkpoint") is not None
    assert history_without_times(job) == history_without_times(other)


@pytest.mark.long
def test_a_member_of_the_family_leaves_its_rates_the_same_after_a_pause(job, tmp_path, monkeypatch):
    optimizer = {"name": "adaptive_momentum", "rule": "bounded", "lr": 0.05, "alpha": 0.4}
    arm = Arm.model_validate({"name": "tiny", "model": "nets_for_training:Tiny", "optimizer": optimizer})
    job = replace(job, arm=arm)
    other = replace(job, folder=tmp_path / "jobs" / "b")
    train(other)
    rows = list(csv.DictReader((other.folder / "rates.csv").read_text().splitlines()))
    assert [float(row["epoch"]) for row in rows] == [quarter / 4 for quarter in range(1, 17)]
    assert all(float(row["rate_0"]) <= float(row["rate_0.5"]) <= float(row["rate_1"]) for row in rows)
    assert float(rows[-1]["rate_0"]) < 0.05 < float(rows[-1]["rate_1"])
    assert all(float(row["beta_0"]) >= float(row["beta_1"]) for row in rows)

    real, calls = train_module.train_epoch, []

    def stops(*arguments):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(train_module, "train_epoch", stops)
    with pytest.raises(KeyboardInterrupt):
        train(job)
    monkeypatch.undo()
    train(job)
    assert (job.folder / "rates.csv").read_bytes() == (other.folder / "rates.csv").read_bytes()


@pytest.mark.long
def test_a_damaged_checkpoint_and_another_environment_are_told(job, monkeypatch):
    """What happened between two parts of a training stands in its outcome."""
    from equipoise.training.loop import train as module

    train_until(job, monkeypatch, 2)
    newest = max((job.folder / "checkpoint").glob("[0-9]*.json"))
    newest.write_bytes(newest.read_bytes()[:-40])
    real = module.environment
    monkeypatch.setattr(module, "environment", lambda threads: real(threads) | {"torch": "9.9"})
    done = train(job)
    assert done["status"] == "finished"
    assert done["environment"]["torch"] == "9.9"
    texts = "\n".join(done["warnings"])
    assert f"the newest checkpoint was damaged ({newest.stem}), so training went on from epoch" in texts
    assert "another environment" in texts
    assert ", then 9.9" in texts


@pytest.mark.long
def test_an_undisturbed_training_records_its_environment_and_no_more(job):
    done = train(job)
    assert done["environment"]["threads"] == job.training.threads
    assert {"torch", "numpy", "device", "compiler", "instructions"} <= done["environment"].keys()
    assert not [text for text in done["warnings"] if "environment" in text or "checkpoint" in text]
