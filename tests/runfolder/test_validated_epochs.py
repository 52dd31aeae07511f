"""A job that is trained again must validate the same again: else validation results may have chosen a training."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from equipoise.cohorts import store
from equipoise.cohorts.splits.split import split
from equipoise.protocol import Protocol
from equipoise.report.text.reasons import sentence
from equipoise.runfolder import registry_file
from equipoise.runfolder.chronology import trained_otherwise
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import FINISHED, STARTED, Ledger
from equipoise.runfolder.ledger_state import cautions
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.training_registry import registry_rows
from equipoise.runfolder.validated_epochs import (
    EpochLog,
    digest_of,
    history_digest,
    validated_otherwise,
)
from equipoise.runfolder.write import write_rows
from equipoise.statistics.reasons import Reason
from equipoise.testing.phantoms.cases import phantom
from equipoise.training.preparation.staging import plan_jobs
from equipoise.trials.job_record import begin, record_end
from equipoise.trials.lock import lock

TEXT = '[cohort]\nsource = "phantom"\n[training]\nseeds = [0, 1, 2]\n[[arms]]\nname = "a"\nmodel = "unet"\n'
COHORT = phantom(cases=60, size=12)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_file, "cache_folder", store.cache_folder)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))


def planned(folder: Path, text: str = TEXT) -> tuple[Ledger, list[Job]]:
    protocol = Protocol.parse(text)
    ledger = lock(folder, protocol, COHORT, split(COHORT), {})
    jobs = plan_jobs(protocol, COHORT, 1, folder)
    begin(jobs, ledger)
    return ledger, jobs


def history(*losses: float, seconds: float = 1.0) -> list[dict[str, float]]:
    return [
        {"epoch": k, "train_loss": 0.3, "validation_loss": loss, "seconds": k * seconds}
        for k, loss in enumerate(losses, start=1)
    ]


def epochs(job: Job, *losses: float, seconds: float = 1.0) -> None:
    """Validate epochs, as a job does whose process is killed then."""
    log = EpochLog(job, job.run_hash())
    for count in range(1, len(losses) + 1):
        log.remember(history(*losses[:count], seconds=seconds))


def end(job: Job, ledger: Ledger, *losses: float, weights: bytes = b"w", status: str = "finished") -> None:
    epochs(job, *losses)
    EpochLog(job, job.run_hash()).remember_end(status)
    job.weights_file.parent.mkdir(parents=True, exist_ok=True)
    if status == "finished":
        job.weights_file.write_bytes(weights)
    write_rows(job.folder / "history.csv", history(*losses))
    done = job.write_end(status=status, reason=None if status == "finished" else "it fell")
    record_end(job, done, ledger, validated_otherwise(ledger.events[0].hash))


def again(job: Job, ledger: Ledger) -> None:
    """Remove the folder of a job, as whoever is not pleased by it, and begin it anew."""
    shutil.rmtree(job.folder, ignore_errors=True)
    begin([job], ledger)


def test_a_job_that_is_trained_again_to_equal_bits_stays_as_planned(tmp_path: Path) -> None:
    ledger, (job, *_) = planned(tmp_path / "run")
    end(job, ledger, 0.5, 0.4)
    again(job, ledger)
    epochs(job, 0.5, 0.4, seconds=9.0)
    end(job, ledger, 0.5, 0.4)
    assert [event.kind for event in ledger.events].count("restarted") == 1
    assert trained_otherwise(Ledger(tmp_path / "run").events) == []
    assert cautions(read_lock(tmp_path / "run"), ledger) == ()


@pytest.mark.parametrize(
    ("losses", "weights", "status", "words"),
    [
        ((0.5, 0.3), b"w", "finished", ["other validation results"]),
        ((0.5, 0.4), b"v", "finished", ["other weights"]),
        ((0.5, 0.3), b"v", "finished", ["other weights", "other validation results"]),
        ((0.5,), b"", "failed", ["another outcome", "other validation results"]),
    ],
)
def test_a_removed_job_that_gives_other_results_is_named(tmp_path, losses, weights, status, words, caplog) -> None:
    ledger, (job, other, _) = planned(tmp_path / "run")
    end(job, ledger, 0.5, 0.4)
    end(other, ledger, 0.6, 0.5)
    again(job, ledger)
    end(job, ledger, *losses, weights=weights, status=status)
    ledger = Ledger(tmp_path / "run")
    assert ledger.events[-1].data["otherwise"] == words
    assert f"a/0-0 was trained before, and has {' and '.join(words)} now, so this trial is exploratory" in caplog.text
    (reason,) = cautions(read_lock(tmp_path / "run"), ledger)
    assert reason == (
        "jobs that were trained more than once gave other results than before (a/0-0), and validation results may "
        "have chosen between them"
    )
    again(job, ledger)
    end(job, ledger, 0.5, 0.4)
    assert trained_otherwise(ledger.events) == ["a/0-0"], "who takes the first again has seen the second"


def test_a_job_that_never_ended_was_seen_by_its_epochs(tmp_path: Path) -> None:
    ledger, (job, *_) = planned(tmp_path / "run")
    epochs(job, 0.5, 0.45)
    again(job, ledger)
    end(job, ledger, 0.5, 0.45, 0.4)
    assert trained_otherwise(ledger.events) == [], "a restart with the same epochs, and one more"
    ledger, (job, *_) = planned(tmp_path / "other", TEXT.replace("[0, 1, 2]", "[0, 1]"))
    epochs(job, 0.5, 0.45)
    again(job, ledger)
    end(job, ledger, 0.3, 0.2)
    assert trained_otherwise(ledger.events) == ["a/0-0"]


def test_a_copy_or_another_folder_of_the_plan_is_the_same_training(tmp_path: Path) -> None:
    planned(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    copy = plan_jobs(Protocol.parse(TEXT), COHORT, 1, tmp_path / "copy")
    epochs(copy[0], 0.5)
    ledger, jobs = planned(tmp_path / "second")
    epochs(jobs[1], 0.5)
    end(jobs[0], ledger, 0.4)
    end(jobs[1], ledger, 0.5)
    assert trained_otherwise(ledger.events) == ["a/0-0"]
    ledger, jobs = planned(tmp_path / "another plan", TEXT.replace("[0, 1, 2]", "[0, 1]"))
    end(jobs[0], ledger, 0.1)
    assert trained_otherwise(ledger.events) == []


def test_precision_that_was_measured_otherwise_is_another_training(tmp_path: Path) -> None:
    ledger, (job, *_) = planned(tmp_path / "first")
    epochs(job, 0.5)
    other = replace(job, training=job.training.model_copy(update={"precision": "bfloat16"}))
    epochs(other, 0.6)
    assert validated_otherwise(ledger.events[0].hash) == set()


def test_the_first_epoch_registers_the_seed_before_it_can_be_read(tmp_path: Path) -> None:
    _, (job, *_) = planned(tmp_path / "run")
    epochs(job, 0.5, 0.4)
    epochs(job, 0.5, 0.4)
    assert [row["seed"] for row in registry_rows() if row["kind"] == "validated"] == [0]


def test_ends_of_an_earlier_version_are_compared_by_their_weights(tmp_path: Path) -> None:
    ledger, (job, *_) = planned(tmp_path / "run")
    ledger.append(STARTED, jobs=[job.name])
    ledger.append(FINISHED, job=job.name, reason=None)
    end(job, ledger, 0.5)
    assert trained_otherwise(ledger.events) == []


def test_digests_leave_times_out_and_refuse_no_history(tmp_path: Path) -> None:
    assert digest_of({"epoch": 1, "loss": 0.1, "seconds": 2.0}) == digest_of({"epoch": "1", "loss": "0.1"})
    assert digest_of({"loss": float("nan")}) == digest_of({"loss": "nan"})
    assert history_digest(tmp_path) is None
    (tmp_path / "history.csv").write_text("epoch,loss\n1,many\n")
    assert history_digest(tmp_path) is None


def test_a_spoilt_or_unwritable_log_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    ledger, (job, *_) = planned(tmp_path / "run")
    epochs(job, 0.5)
    (file,) = (tmp_path / "cache" / "validated").rglob("*.jsonl")
    file.write_bytes(file.read_bytes() + b'{"job": 3}\n[]\n{"job": "a/0-0", "epo')
    epochs(job, 0.5, 0.4)
    assert [json.loads(line)["epoch"] for line in file.read_text().split("\n") if '"digest"' in line] == [1, 2]
    (tmp_path / "file").write_text("in place of a folder")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "file"))
    end(job, ledger, 0.5, 0.4)
    assert "could not be recorded" in caplog.text


def test_all_jobs_are_named_in_the_warning() -> None:
    text = sentence(Reason("retrained_jobs", names=tuple(f"a/0-{k}" for k in range(5))))
    assert text.startswith("5 jobs gave other weights, validation results or another outcome when trained again (a/0-0")
    assert "a/0-4" in text
