"""`--alike`: a trial goes on only where the environment is that in which it was begun."""

import json

import pytest

from equipoise.errors import LedgerError
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.trials import alike

HERE = {"torch": "2.14", "cpu": "Xeon", "cpu_flags": "ab", "threads": 1}


@pytest.fixture
def job(tmp_path):
    arm, folder = Arm.model_validate({"name": "net", "model": "unet"}), tmp_path / "job"
    training = TrainingSection()
    return Job(arm, 0, 0, folder, tmp_path, tmp_path, "classification", ("x", "y"), 1, 2, training, {}, "auc")


def locked(monkeypatch, environment):
    monkeypatch.setattr(alike, "read_lock", lambda _: {"environment": environment})


def test_the_same_environment_goes_on(job, tmp_path, monkeypatch):
    locked(monkeypatch, HERE)
    job.write_end(status="failed", reason="x", environment=HERE)
    alike.refuse_unlike(tmp_path, [job], dict(HERE))


def test_a_plan_or_a_job_of_another_machine_is_named(job, tmp_path, monkeypatch):
    locked(monkeypatch, HERE | {"cpu": "EPYC"})
    with pytest.raises(LedgerError, match=r"plan was locked in another environment \(cpu EPYC, then Xeon\)"):
        alike.refuse_unlike(tmp_path, [job], HERE)
    locked(monkeypatch, HERE)
    job.write_end(status="failed", reason="x", environment=HERE | {"cpu_flags": "cd"})
    with pytest.raises(LedgerError, match=r"job net/0-0 was trained .*cpu_flags cd, then ab.*leave out --alike"):
        alike.refuse_unlike(tmp_path, [job], HERE)


def test_what_an_earlier_version_did_not_record_is_no_other_machine(job, tmp_path, monkeypatch):
    locked(monkeypatch, {"torch": "2.14"})
    job.done_file.parent.mkdir()
    job.done_file.write_text(json.dumps({"status": "failed", "reason": "x", "arm": "net", "fold": 0, "seed": 0}))
    alike.refuse_unlike(tmp_path, [job], HERE)
