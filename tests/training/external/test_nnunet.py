"""nnU-Net's process as the worker sees it: started, watched, ended with its worker, and told of in one sentence."""

import importlib.util
import json
import os
import subprocess
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from nnunet_jobs import job, squares

from equipoise.child_process import PYTHON
from equipoise.errors import EquipoiseError, ProtocolError, Superseded
from equipoise.protocol import Arm
from equipoise.runfolder.writer import Writer
from equipoise.training.external import installed, nnunet, nnunet_answers, nnunet_process, nnunet_trial
from equipoise.training.loop.ending import DivergedError

HERE = importlib.util.find_spec("nnunetv2") is not None
ROW = {
    "epoch": 1.0, "train_loss": 0.5, "validation_loss": 0.6, "validation_pseudo_dice": 0.1, "learning_rate": 0.01,
    "updates": 3.0, "budget_seconds": 5.0, "processor_seconds": 5.0, "seconds": 6.0,
}  # fmt: skip


@pytest.fixture
def parts():
    return {"train": squares(2), "validation": squares(1, seed=1, prefix="v")}


def test_a_missing_package_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ProtocolError, match=r"arm 'n' is trained by nnU-Net.*install equipoise\[nnunet\]"):
        installed.refuse_absent("n")


def test_what_nnunet_is_asked_for_is_the_jobs(tmp_path):
    settings = {"minutes": 2.0, "trainer": "own:Trainer"}
    request = nnunet._request(job(tmp_path, **settings), tmp_path, {"train": ["t0"], "val": ["v0"]})
    assert request["seconds"] == 120.0
    assert request["trainer"] == "own:Trainer"
    assert request["configuration"] == "3d_fullres"
    assert request["split"] == {"train": ["t0"], "val": ["v0"]}
    assert nnunet.configuration_of(job(tmp_path, dims=2)) == "2d"
    assert nnunet.configuration_of(job(tmp_path, configuration="3d_lowres")) == "3d_lowres"
    with pytest.raises(ValueError, match="not an arm of nnU-Net"):
        nnunet.settings_of(replace(job(tmp_path), arm=Arm.model_validate({"name": "u", "model": "unet"})))


def test_a_worker_keeps_its_freed_memory_and_nnunet_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    environment = nnunet._environment(tmp_path)
    assert "MALLOC_TRIM_THRESHOLD_" not in environment
    assert environment["nnUNet_raw"] == str((tmp_path / "raw").resolve())


def test_the_history_has_nnunets_own_columns():
    (row,) = nnunet.history([ROW])
    assert (row["epoch"], row["updates"], row["seconds"]) == (1, 3, 6.0)
    assert list(row)[:3] == ["epoch", "train_loss", "validation_loss"]


def test_a_trial_before_the_lock_makes_epochs_of_one_update(tmp_path):
    tried = nnunet.tried(job(tmp_path, minutes=5.0), 2)
    assert tried.training.epochs == 2
    assert (tried.arm.nnunet.minutes, tried.arm.nnunet.steps_per_epoch) == (None, 1)
    with pytest.raises(ProtocolError, match="a training case and a validation case|not installed"):
        nnunet_trial._tried(job(tmp_path), squares(1), 1)


def test_a_failure_names_no_path_of_this_machine(tmp_path):
    (tmp_path / nnunet_process.FAILURE).write_text(f"ValueError: {tmp_path.resolve()}/raw is empty")
    assert nnunet._failure(tmp_path, 1) == "nnU-Net failed: ValueError: nnunet/raw is empty"
    (tmp_path / nnunet_process.FAILURE).unlink()
    assert nnunet._failure(tmp_path, -11) == "nnU-Net failed: its process crashed (exit code -11)"


def test_weights_that_are_one_in_memory_are_written_once():
    weight = torch.ones(3)
    weights, same = nnunet_process.distinct({"a": weight, "b": torch.zeros(3), "decoder.a": weight})
    assert set(weights) == {"a", "b"}
    assert same == {"decoder.a": "a"}


def test_a_plan_that_is_not_one_is_refused(tmp_path):
    (tmp_path / "nnUNetPlans.json").write_text('{"plans_name": "nnUNetPlans"}')
    (tmp_path / "splits_final.json").write_text("[]")
    assert nnunet_process.plans_name(tmp_path) == "nnUNetPlans"
    (tmp_path / "other.json").write_text('{"plans_name": "other"}')
    with pytest.raises(EquipoiseError, match="wrote 2 plans"):
        nnunet_process.plans_name(tmp_path)


def test_draws_depend_on_the_job_and_the_epoch_alone():
    def drawn(part):
        nnunet_process.Draws("n/0-0").begin(part)
        return np.random.random(), float(torch.rand(1))  # noqa: NPY002 (the generator that nnU-Net draws from)

    assert drawn(3) == drawn(3) != drawn(4)


def test_a_request_comes_whole_or_not_at_all():
    read, write = os.pipe()
    sender = threading.Thread(target=lambda: [os.write(write, part) for part in (b'{"a"', b": 1}\n")])
    sender.start()
    assert nnunet_process.request_of(read) == {"a": 1}
    sender.join()
    os.close(write)
    with pytest.raises(EOFError):
        nnunet_process.request_of(read)
    os.close(read)


@pytest.mark.long
def test_the_process_ends_with_its_worker():
    code = "import os, threading; from equipoise.training.external.nnunet_process import end_with; end_with(0)"
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(__import__("sys").path))
    with subprocess.Popen([*PYTHON, "-c", code], stdin=subprocess.PIPE, env=environment) as child:
        time.sleep(0.2)
        child.stdin.close()
        assert child.wait(60) == 1


SLEEPS = "import sys, time; sys.stdin.readline(); time.sleep(600)"
ROWS = """
import json, sys, time
from pathlib import Path
folder = Path(json.loads(sys.stdin.readline())["folder"])
(folder / "progress.jsonl").write_text(ROW + "\\n")
time.sleep(1.5)
"""


@pytest.mark.long
def test_a_job_that_another_process_took_leaves_nothing_running(tmp_path, parts, monkeypatch):
    the_job = job(tmp_path)
    monkeypatch.setattr(nnunet, "LOOK_SECONDS", 0.1)
    real, made = subprocess.Popen, []

    def started(_, **options):
        made.append(real([*PYTHON, "-c", SLEEPS], **options))
        Writer.begin(the_job.folder)  # another run takes the job over
        return made[0]

    writer = Writer.begin(the_job.folder)
    monkeypatch.setattr(subprocess, "Popen", started)
    with pytest.raises(Superseded):
        nnunet.run_process(the_job, parts, the_job.folder / "nnunet", writer)
    assert made[0].poll() is not None


@pytest.mark.long
def test_the_history_follows_the_epochs_and_a_kill_is_no_failure(tmp_path, parts, monkeypatch):
    the_job = job(tmp_path)
    monkeypatch.setattr(nnunet, "LOOK_SECONDS", 0.2)
    real = subprocess.Popen
    code = ROWS.replace("ROW", repr(json.dumps(ROW)))
    monkeypatch.setattr(subprocess, "Popen", lambda _, **options: real([*PYTHON, "-c", code], **options))
    memory_mb = nnunet.run_process(the_job, parts, the_job.folder / "nnunet", Writer.begin(the_job.folder))
    assert memory_mb > 1
    assert the_job.history()["updates"].tolist() == [3.0]
    code = "import os, sys; sys.stdin.readline(); os.kill(os.getpid(), 9)"
    with pytest.raises(MemoryError, match="killed"):
        nnunet.run_process(the_job, parts, the_job.folder / "nnunet")


@pytest.mark.long
def test_what_goes_wrong_in_the_process_is_a_sentence(tmp_path, parts):
    bad = job(tmp_path, trainer="nowhere_to_be_found:Trainer") if not HERE else job(tmp_path, planner="NoPlanner")
    with pytest.raises(DivergedError, match="nnU-Net failed: .*(nnunetv2|NoPlanner|planner)"):
        nnunet.run_process(bad, parts, tmp_path / "nnunet")


def test_facts_that_are_gone_are_told(tmp_path):
    with pytest.raises(EquipoiseError, match="nnunet.json is not readable"):
        nnunet_answers.facts_of(job(tmp_path))
