"""What a resumed run trusts: files with the hashes that the ledger recorded, and a ledger that is there."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from equipoise.cohorts.splits.split import split
from equipoise.errors import LedgerError
from equipoise.protocol import Protocol
from equipoise.report import summarise
from equipoise.runfolder.chronology import ends
from equipoise.runfolder.evidence import end_of_job
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import FINISHED, STARTED, Ledger
from equipoise.testing.phantoms.cases import phantom
from equipoise.training.preparation.staging import plan_jobs
from equipoise.trials import job_record as module
from equipoise.trials.lock import lock

TEXT = '[cohort]\nsource = "phantom"\n[training]\nseeds = [0, 1, 2]\n[[arms]]\nname = "a"\nmodel = "unet"\n'


@pytest.fixture(scope="module")
def plan():
    protocol, cohort = Protocol.parse(TEXT), phantom(cases=60, size=12)
    return protocol, cohort, split(cohort)


@pytest.fixture
def begun(plan, tmp_path) -> tuple[Ledger, list[Job]]:
    """A locked folder whose first job has ended."""
    ledger = lock(tmp_path, *plan, {})
    jobs = plan_jobs(plan[0], plan[1], 1, tmp_path)
    ledger.append(STARTED, jobs=[job.name for job in jobs])
    first = jobs[0]
    first.weights_file.parent.mkdir(parents=True)
    first.weights_file.write_bytes(b"weights")
    (first.folder / "history.csv").write_text("epoch,train_loss\n1,0.5\n")
    first.write_end()
    ledger.append(FINISHED, job=first.name, reason=None, files=end_of_job(first.folder))
    return ledger, jobs


@pytest.mark.parametrize("trace", ["jobs", "baselines", "samples", "results.json", "report.html"])
def test_a_folder_in_which_work_was_done_needs_its_ledger(plan, tmp_path, trace):
    lock(tmp_path, *plan, {})
    (tmp_path / "ledger.jsonl").unlink()
    (tmp_path / trace).mkdir() if "." not in trace else (tmp_path / trace).write_text("{}")
    with pytest.raises(LedgerError, match=r"but no ledger.jsonl, so its history is unknown"):
        lock(tmp_path, *plan, {})
    assert not (tmp_path / "ledger.jsonl").exists()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("cases.csv", ",malignant,"),
        ("lock.json", '"shared_seeds": false'),
    ],
)
def test_a_changed_plan_is_not_gone_on_with(plan, tmp_path, file, change):
    lock(tmp_path, *plan, {})
    text = (tmp_path / file).read_text()
    assert change in text
    (tmp_path / file).write_text(
        text.replace(change, change.replace("malignant", "benign").replace("false", "true"), 1)
    )
    with pytest.raises(LedgerError, match="was changed after locking"):
        lock(tmp_path, *plan, {})


@pytest.mark.parametrize("name", ["done.json", "history.csv", "checkpoint/model.safetensors"])
def test_a_file_that_was_edited_is_refused(begun, name):
    ledger, (job, *_) = begun
    module.refuse_changed(job, ends(ledger.events)[job.name])
    file = job.folder / name
    file.write_bytes(file.read_bytes().replace(b"finished", b"finishes") + b" ")
    with pytest.raises(LedgerError, match=rf"{name} was changed after the job had ended"):
        module.refuse_changed(job, ends(ledger.events)[job.name])


@pytest.mark.parametrize("spoil", ["delete", "empty", "weights"])
def test_a_file_that_is_gone_is_made_anew_on_the_record(begun, spoil, caplog):
    ledger, (job, *others) = begun
    if spoil == "delete":
        job.done_file.unlink()
    elif spoil == "empty":
        job.done_file.write_bytes(b"")
    else:
        job.weights_file.unlink()
    module.refuse_changed(job, ends(ledger.events)[job.name])
    assert not module.has_ended(job)
    with caplog.at_level(logging.WARNING, logger="equipoise"):
        module.begin([job, *others], ledger)
    assert "trained again, and the ledger records this" in caplog.text
    assert [event.kind for event in ledger.events[-2:]] == ["restarted", "started"]
    assert ledger.events[-2].data == {"jobs": [job.name]}
    assert ledger.events[-1].data == {"jobs": [other.name for other in others]}
    assert not job.done_file.exists()


def test_weights_may_be_deleted_once_the_test_cases_are_predicted(begun):
    _, (job, *_) = begun
    job.weights_file.unlink()
    job.predictions_file.write_bytes(b"some")
    assert module.has_ended(job)


def test_another_environment_is_remarked(plan, tmp_path, caplog):
    lock(tmp_path, *plan, {"environment": {"torch": "2.14", "threads": 1}})
    with caplog.at_level(logging.WARNING, logger="equipoise"):
        lock(tmp_path, *plan, {"environment": {"torch": "2.15", "threads": 1}})
    assert "continues in another environment (torch 2.14, then 2.15)" in caplog.text
    assert json.loads((tmp_path / "lock.json").read_text())["environment"]["torch"] == "2.14"


@pytest.mark.long
def test_runs_in_different_environments_are_a_warning(tmp_path):
    recorded = Path(__file__).resolve().parents[1] / "data" / "recorded-run"
    assert not any("environment" in warning for warning in summarise(recorded)["warnings"])
    run = Path(shutil.copytree(recorded, tmp_path / "run"))
    file = run / "jobs" / "unet" / "0-1" / "done.json"
    done = json.loads(file.read_text())
    done["environment"]["torch"] = "9.9"
    file.write_text(json.dumps(done))
    (warning,) = [one for one in summarise(run)["warnings"] if "trained in the same environment" in one]
    assert "torch: " in warning
    assert ", 9.9" in warning


def test_an_end_before_a_restart_binds_no_file_of_the_new_training(begun):
    """A kill between the end of a restarted job and its event: the files are new, and the old end does not stand."""
    ledger, (job, *_) = begun
    job.done_file.unlink()
    module.begin([job], ledger)
    (job.folder / "history.csv").write_text("epoch,train_loss\n1,0.4\n")
    job.write_end()
    assert ends(ledger.events) == {}
    module.refuse_changed(job, ends(ledger.events).get(job.name))
    ledger.append(FINISHED, job=job.name, reason=None, files=end_of_job(job.folder))
    assert list(ends(ledger.events)) == [job.name]
