"""A worker that stood still while another process trained its job wakes, and writes nothing."""

import os
import signal
import subprocess
import time

import numpy as np
import pytest

from equipoise.child_process import PYTHON, import_path
from equipoise.engines.worker import receive, send
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.loop.train import train

TRAIN = "equipoise.training.loop.train:train"


def job_in(folder, epochs):
    for part, n in (("train", 48), ("validation", 8)):
        images = np.random.default_rng(n).normal(size=(n, 1, 16, 16)).astype(np.float32)
        names = tuple(f"{part}{i}" for i in range(n))
        Samples(images, np.arange(n) % 2, names, names).save(folder / "samples" / part)
    arm = Arm.model_validate({"name": "a", "model": {"name": "densenet", "preset": "tiny"}})
    places = (folder / "job", folder / "samples", folder)
    training = TrainingSection(epochs=epochs, batch_size=8)
    return Job(arm, 0, 0, *places, "classification", ("x", "y"), 1, 2, training, {}, "auc")


@pytest.mark.long
def test_a_frozen_worker_wakes_and_writes_nothing(tmp_path):
    job = job_in(tmp_path, epochs=6)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(import_path()))
    command = [*PYTHON, "-m", "equipoise.engines.worker"]
    # its pipe stays open, as that of a whole machine that stood still: nothing but the token tells it what happened
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    try:
        send(worker.stdin, (TRAIN, job))
        deadline = time.monotonic() + 300
        while not job.epochs_behind():
            assert time.monotonic() < deadline, "no first epoch"
            time.sleep(0.01)
        os.kill(worker.pid, signal.SIGSTOP)
        assert 0 < job.epochs_behind() < 6, "it was to be stopped in the middle"
        assert train(job)["status"] == "finished"
        before = {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()}
        assert not any(path.name.startswith(".") for path in before), "nothing unfinished is left"
        os.kill(worker.pid, signal.SIGCONT)
        kind, text = receive(worker.stdout)
    finally:
        worker.kill()
        worker.communicate()
    assert (kind, "taken over" in text) == ("Superseded", True)
    assert {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()} == before
