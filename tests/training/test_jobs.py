"""Whatever an arm is, its jobs are asked for alike, and end alike."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from equipoise.errors import EquipoiseError, Interrupted, Superseded
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training import jobs
from equipoise.training.data.samples import Samples
from equipoise.training.loop import ensemble
from equipoise.training.loop.arm import build_model
from equipoise.training.loop.ending import DivergedError, ended


def job(folder, name="a", seed=0, members=()):
    made_of = {"ensemble": [member.arm.name for member in members]} if members else {}
    model = {} if members else {"model": {"name": "unet", "preset": "tiny"}}
    places = folder / "jobs" / name / f"0-{seed}", folder / "samples", folder
    arm = Arm.model_validate({"name": name, **model, **made_of})
    return Job(
        arm, 0, seed, *places, "classification", ("x", "y"), 1, 2, TrainingSection(epochs=1), {}, "auc", members=members
    )


def finish(member, **outcome):
    member.write_end(train_seconds=3.0, processor_seconds=2.0, peak_memory_mb=70.0, **outcome)


def test_a_job_that_has_ended_is_returned_as_it_is(tmp_path):
    for one in (job(tmp_path), job(tmp_path, "e", members=(job(tmp_path),))):
        finish(one)
        assert jobs.train(one) == one.done()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DivergedError("no epoch had a finite loss"), "no epoch had a finite loss"),
        (EquipoiseError("correct it"), "correct it"),
        (ZeroDivisionError("by zero\nand more"), "ZeroDivisionError: by zero"),
    ],
)
def test_a_failure_of_the_arm_is_a_record(tmp_path, error, reason):
    def fails(*_):
        raise error

    done = ended(job(tmp_path), fails)
    assert (done["status"], done["reason"]) == ("failed", reason)
    assert done == job(tmp_path).done()


@pytest.mark.parametrize("error", [OSError(28, "No space left"), MemoryError("none left"), Superseded("another")])
def test_what_the_machine_lacks_is_no_record(tmp_path, error):
    def fails(*_):
        raise error

    with pytest.raises(type(error)):
        ended(job(tmp_path), fails)
    assert job(tmp_path).done() is None


def samples():
    rng = np.random.default_rng(0)
    names = tuple(f"c{k}" for k in range(4))
    return Samples(rng.normal(size=(4, 1, 16, 16)).astype(np.float32), np.array([0, 1, 0, 1]), names, names)


@pytest.mark.long
def test_an_ensemble_has_the_weights_and_the_costs_of_its_members(tmp_path):
    members = tuple(job(tmp_path, name, seed) for name, seed in (("a", 0), ("a", 1), ("b", 0)))
    together = job(tmp_path, "e", members=members)
    samples().save(tmp_path / "samples" / "validation")
    with pytest.raises(Interrupted, match="a/0-0 of the ensemble e/0-0 has not ended"):
        jobs.train(together)
    assert together.done() is None
    for number, member in enumerate(members):
        torch.manual_seed(number)
        member.weights_file.parent.mkdir(parents=True)
        save_file(build_model(member).state_dict(), member.weights_file)
        finish(member)
    done = ensemble.assemble(together)
    assert done["status"] == "finished", done
    assert (done["train_seconds"], done["processor_seconds"]) == (9.0, 6.0)
    assert done["peak_memory_mb"] >= 70.0
    assert set(done["members"]) == {"a/0-0", "a/0-1", "b/0-0"}
    assert done["parameters"] == 3 * sum(p.numel() for p in build_model(members[0]).parameters())
    weights = load_file(together.weights_file)
    for number, member in enumerate(members):
        for name, value in load_file(member.weights_file).items():
            assert torch.equal(weights[f"members.{number}.{name}"], value)
    assert np.isfinite(together.history()["validation_auc"]).all()


@pytest.mark.long
def test_an_ensemble_fails_with_a_member(tmp_path):
    members = tuple(job(tmp_path, "a", seed) for seed in (0, 1))
    finish(members[0])
    members[1].write_end(status="failed", reason="it diverged")
    assert ensemble._end_of(members[0])["status"] == "finished"
    done = jobs.train(job(tmp_path, "e", members=members))
    assert (done["status"], done["reason"]) == ("failed", "its member a/0-1 failed: it diverged")


def test_a_record_of_another_job_is_no_member(tmp_path):
    member = job(tmp_path, "a", 0)
    finish(member)
    record = json.loads(member.done_file.read_text())
    for change in ({"seed": 5}, {"fold": 1}, {"arm": "other"}):
        member.done_file.write_text(json.dumps(record | change))
        with pytest.raises(EquipoiseError, match="a/0-0 belongs to another job"):
            ensemble._end_of(member)
    assert replace(member, members=(member,)).is_network is False
