"""Training goes on from a checkpoint of its own run, job and plan alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from training.loop.test_train import job as job
from training.loop.test_train import train_until

from equipoise.errors import LedgerError
from equipoise.protocol import TrainingSection
from equipoise.runfolder.evidence import RECORD
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import LOCKED, Ledger
from equipoise.training.external.raw_folder import _run
from equipoise.training.loop.bound_checkpoint import of_job, refuse_foreign
from equipoise.training.loop.train import train
from equipoise.trials.job_record import refuse_changed


def in_run(job: Job, run: Path, *, record: int = RECORD, name: str = "0-0") -> Job:
    """Return the job in a run folder of its own, whose plan has been locked."""
    run.mkdir()
    Ledger(run).append(LOCKED, record=record, lock_sha256=run.name)
    return replace(job, folder=run / "jobs" / "tiny" / name)


def state(job: Job, epoch: int = 2, validated: int = 2, chosen: int | None = 1) -> dict[str, object]:
    progress = {"epoch": epoch, "chosen_epoch": chosen, "history": [{}] * validated}
    return {"of": of_job(job, job.run_hash()), "progress": progress}


def test_a_state_of_this_run_is_taken(job, tmp_path):
    job = in_run(job, tmp_path / "run")
    refuse_foreign(job, state(job), job.run_hash())
    refuse_foreign(job, state(job, 4, 4, None), job.run_hash())


@pytest.mark.parametrize("origin", ["another run", "another job", "no name of its origin"])
def test_a_state_of_another_origin_is_refused(job, tmp_path, origin):
    own = in_run(job, tmp_path / "run")
    other = in_run(job, tmp_path / "other") if origin == "another run" else replace(own, seed=1)
    foreign = state(other) if origin != "no name of its origin" else {"progress": state(own)["progress"]}
    with pytest.raises(LedgerError, match="belongs to another run or job, so tiny/0-0 cannot go on from it; restore"):
        refuse_foreign(own, foreign, own.run_hash())


@pytest.mark.parametrize("numbers", [(5, 5, 1), (3, 2, 1), (2, 2, 3)])
@pytest.mark.parametrize("record", [RECORD, RECORD - 1])
def test_more_epochs_than_planned_or_validated_are_refused(job, tmp_path, numbers, record):
    job = in_run(job, tmp_path / "run", record=record)
    with pytest.raises(LedgerError, match=r"is of epoch \d, with \d validated, and the plan has 4, so"):
        refuse_foreign(job, state(job, *numbers), job.run_hash())


def test_a_run_of_an_earlier_version_goes_on_from_its_unnamed_checkpoints(job, tmp_path):
    job = in_run(job, tmp_path / "run", record=RECORD - 1)
    assert job.run_hash() == ""
    refuse_foreign(job, {"progress": state(job)["progress"]}, job.run_hash())


def test_the_folder_of_another_trainer_is_stamped_with_the_run(job, tmp_path):
    assert _run(job) == []
    assert _run(in_run(job, tmp_path / "run")) != _run(in_run(job, tmp_path / "other"))


@pytest.mark.long
def test_a_checkpoint_of_a_longer_plan_on_other_cases_is_refused_and_nothing_is_written(job, tmp_path, monkeypatch):
    """As whoever lays weights of another plan, trained on the test cases, into an ended job without its done.json."""
    own = in_run(replace(job, training=TrainingSection(epochs=1, batch_size=16)), tmp_path / "run")
    other = in_run(job, tmp_path / "other")
    train(own)
    train_until(other, monkeypatch, 3)
    own.done_file.unlink()
    shutil.rmtree(own.folder / "checkpoint")
    shutil.copytree(other.folder / "checkpoint", own.folder / "checkpoint")
    before = {file: file.read_bytes() for file in (own.folder / "checkpoint").iterdir()}
    with pytest.raises(LedgerError, match="remove that folder and run the same command again"):
        train(own)
    assert {file: file.read_bytes() for file in (own.folder / "checkpoint").iterdir()} == before
    assert not own.done_file.exists()
    shutil.rmtree(own.folder / "checkpoint")
    assert train(own)["chosen_epoch"] == 1


@pytest.mark.long
def test_an_ended_job_of_another_run_is_not_this_runs(job, tmp_path):
    job = replace(job, training=TrainingSection(epochs=1, batch_size=16))
    own, other = in_run(job, tmp_path / "run"), in_run(job, tmp_path / "other")
    train(other)
    assert json.loads(other.done_file.read_text())["run"] == other.run_hash()
    refuse_changed(other, None)
    shutil.copytree(other.folder, own.folder)
    with pytest.raises(LedgerError, match=r"done.json is of another run than that of this ledger; remove"):
        refuse_changed(own, None)
