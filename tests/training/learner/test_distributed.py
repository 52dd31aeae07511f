"""Two processes with half of every batch each train as one process does."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from equipoise.protocol import Arm, InferenceSection, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Grid, Samples
from equipoise.training.learner.distributed import Ranks
from equipoise.training.loop.train import train

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, out_channels, spatial_dims, maps=False):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        pooled = [nn.AdaptiveAvgPool2d(2), nn.Conv2d(6, out_channels, 2), nn.Flatten()]
        self.head = nn.Conv2d(6, out_channels, 1) if maps else nn.Sequential(*pooled)

    def forward(self, x):
        return self.head(self.body(x))

class Spoils(Net):
    def forward(self, x):
        return super().forward(x) * (float("nan") if self.training else 1.0)
"""

SCRIPT = """
import pickle, sys
from torch import distributed
from equipoise.training.loop.train import train

rank, meeting, jobs = int(sys.argv[1]), sys.argv[2], pickle.load(open(sys.argv[3], "rb"))
distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
for job in jobs:
    train(job)
distributed.destroy_process_group()
"""


def labelled(n, seed):
    generator = np.random.default_rng(seed)
    targets = (np.arange(n) % 3 == 0).astype(np.int64)
    images = generator.normal(0, 0.5, (n, 1, 8, 8)).astype(np.float32) + 0.7 * targets[:, None, None, None]
    names = tuple(f"{seed}-{i}" for i in range(n))
    return Samples(images.astype(np.float32), targets, names, names)


def masked(n, seed):
    plain = labelled(n, seed)
    masks = np.zeros((n, 8, 8), np.uint8)
    masks[:, 2:6, 2:6] = 1
    images = plain.images + masks[:, None]
    grids = tuple(Grid('{"steps": [], "spacing_mm": [1.0, 1.0]}', (1.0, 1.0)) for _ in range(n))
    return Samples(images, masks, plain.cases, plain.patients, grids, masks)


def job_of(folder, name, task="classification", model="Net", augmentation=None, inference=None, **training):
    settings = {"maps": True} if task == "segmentation" else {}
    arm = {"name": name, "model": {"name": f"nets_for_ranks:{model}", **settings}}
    arm |= {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}}
    places = (folder / "jobs" / name, folder / task, folder)
    masks = task == "segmentation"
    return Job(
        Arm.model_validate(arm), 0, 0, *places, task, ("x", "y"), 1, 2,
        TrainingSection(**{"epochs": 2, "batch_size": 10, **training}), augmentation or {},
        "dice" if masks else "auc", {"y": (1,)} if masks else {}, inference or InferenceSection(),
    )  # fmt: skip


def jobs_of(folder):
    augmented = {"rotate_degrees": 10, "flip": ["horizontal"], "noise": 0.1}
    mirror = InferenceSection(mirror=True)
    return {
        "plain": job_of(folder, "plain", augmentation=augmented, inference=mirror),
        "odd": job_of(folder, "odd", batch_size=7, clip_norm=0.5, select="primary"),
        "average": job_of(folder, "average", ema=0.9, accumulate=2, class_weights="balanced"),
        "mixed": job_of(folder, "mixed", mixup=0.3, sampling="balanced", schedule="cosine", patience=1, epochs=3),
        "masks": job_of(folder, "masks", "segmentation", loss="dice-cross-entropy", augmentation=augmented),
        "patches": job_of(folder, "patches", "segmentation", loss="dice", patch=(4, 4), patches_per_case=2),
        "spoilt": job_of(folder, "spoilt", model="Spoils"),
        "few": job_of(folder, "few", batch_size=1),
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Every job by two processes, and by one."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "nets_for_ranks.py").write_text(NETS)
    for task, make in (("classification", labelled), ("segmentation", masked)):
        for part, n, seed in (("train", 31, 0), ("validation", 11, 1)):
            make(n, seed).save(folder / task / part)
    jobs = jobs_of(folder)
    (folder / "jobs.pickle").write_bytes(pickle.dumps(list(jobs.values())))
    arguments = [str(folder / "meeting"), str(folder / "jobs.pickle")]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    processes = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(rank), *arguments], env=environment) for rank in range(2)
    ]
    alone = {name: replace(job, folder=folder / "alone" / name) for name, job in jobs.items()}
    for job in alone.values():
        train(job)
    assert [process.wait(300) for process in processes] == [0, 0]
    return jobs, alone


@pytest.mark.long
@pytest.mark.parametrize("name", ["plain", "odd", "average", "mixed", "masks", "patches"])
def test_the_numbers_are_those_of_one_process_but_for_rounding(trained, name):
    two, one = (part[name] for part in trained)
    done = two.done()
    assert done["status"] == "finished", done["reason"]
    assert (done["processes"], one.done()["processes"]) == (2, 1)
    assert done["chosen_epoch"] == one.done()["chosen_epoch"]
    assert done["stopped_epoch"] == one.done()["stopped_epoch"]
    mine, wanted = load_file(two.weights_file), load_file(one.weights_file)
    for key, value in wanted.items():
        torch.testing.assert_close(mine[key], value, rtol=2e-4, atol=2e-5)
    rows = [(job.folder / "history.csv").read_text().splitlines() for job in (two, one)]
    assert len(rows[0]) == len(rows[1])
    for a, b in zip(*(part[1:] for part in rows), strict=True):
        np.testing.assert_allclose(*(np.array(r.split(",")[:-1], float) for r in (a, b)), rtol=1e-3, atol=1e-5)


@pytest.mark.long
def test_a_loss_that_is_not_finite_is_the_same_failure(trained):
    two, one = (part["spoilt"].done() for part in trained)
    assert two["status"] == "failed"
    assert two["reason"] == one["reason"]


@pytest.mark.long
def test_a_batch_that_cannot_be_shared_is_refused(trained):
    two, one = (part["few"].done() for part in trained)
    assert one["status"] == "finished"
    assert "a batch of 1 cases cannot be shared by 2 processes" in two["reason"]


@pytest.mark.parametrize(("n", "count"), [(7, 2), (8, 3), (5, 5)])
def test_shares_cover_every_row_once(n, count):
    rows = [list(range(n))[Ranks(rank, count).rows(n)] for rank in range(count)]
    assert [index for own in rows for index in own] == list(range(n))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


def test_alone_nothing_is_exchanged():
    alone = Ranks.here()
    assert alone == Ranks(0, 1)
    part = torch.ones(3, 2, requires_grad=True)
    assert alone.whole(part, 3) is part
    assert alone.gathered([1, 2]) == [1, 2]
    model = torch.nn.BatchNorm2d(2)
    assert alone.synchronise(model) is model
