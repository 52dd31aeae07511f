import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import LedgerError
from equipoise.runfolder.ledger import PREDICTED, TEST_OPENED, Ledger
from equipoise.runfolder.read import read_folder

Make = Callable[..., Path]


@pytest.mark.long
def test_a_whole_folder_has_no_problem(make_folder: Make) -> None:
    run = read_folder(make_folder())
    assert run.problems == ()
    assert [job.status for job in run.jobs] == ["finished"] * 12
    assert len(run.finished("unet-adam")) == 3
    assert len(run.finished("size-rule")) == 1
    assert run.ledger.test_openings == 1
    assert run.ledger.verified
    assert not run.ledger.plan_changed
    assert run.jobs[0].history["epoch"].tolist() == list(range(1, 13))


def test_no_run_folder_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"has no lock\.json; name the folder of a run"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"), [("{", "not readable"), ("{}", "has no 'protocol_sha256'"), ("3", "not readable")]
)
def test_a_spoilt_lock_is_named(make_folder: Make, content: str, words: str) -> None:
    folder = make_folder(seeds=1, patients=60)
    (folder / "lock.json").write_text(content, encoding="utf-8")
    with pytest.raises(LedgerError, match=words):
        read_folder(folder)


@pytest.mark.parametrize(
    ("piece", "words"),
    [("done.json", "done.json is missing"), ("predictions.parquet", "predictions.parquet is missing")],
)
def test_a_missing_piece_of_a_job_is_named(make_folder: Make, piece: str, words: str) -> None:
    folder = make_folder(patients=60)
    (folder / "jobs" / "unet-adam" / "0-1" / piece).unlink()
    job = next(job for job in read_folder(folder).jobs if (job.arm, job.seed) == ("unet-adam", 1))
    assert job.status == "missing"
    assert words in (job.reason or "")


def test_corrupt_pieces_are_named(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    job = folder / "jobs" / "unet-adam"
    (job / "0-0" / "predictions.parquet").write_bytes(b"PAR1 not really")
    (job / "0-1" / "done.json").write_text("[", encoding="utf-8")
    (folder / "thumbnails.npz").write_bytes(b"PK broken")
    (folder / "baselines" / "size-rule" / "0-0" / "predictions.parquet").unlink()
    run = read_folder(folder)
    assert [job.status for job in run.jobs[:3]] == ["missing", "missing", "finished"]
    assert "predictions.parquet is not a readable Parquet file" in (run.jobs[0].reason or "")
    assert "delete it and resume" in (run.jobs[1].reason or "")
    assert any("thumbnails.npz is not readable" in problem for problem in run.problems)
    assert any("baseline size-rule" in problem for problem in run.problems)


def test_a_recorded_failure_keeps_its_reason(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    path = folder / "jobs" / "unet-adam" / "0-1" / "done.json"
    done = json.loads(path.read_text(encoding="utf-8")) | {
        "status": "failed",
        "reason": "the loss became NaN in epoch 3",
    }
    path.write_text(json.dumps(done), encoding="utf-8")
    job = read_folder(folder).jobs[1]
    assert (job.status, job.reason) == ("failed", "the loss became NaN in epoch 3")


def test_a_torn_history_line_is_left_out(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    path = folder / "jobs" / "unet-adam" / "0-0" / "history.csv"
    path.write_text(path.read_text(encoding="utf-8") + "13,0.3", encoding="utf-8")
    assert read_folder(folder).jobs[0].history["epoch"].tolist() == list(range(1, 13))


def test_values_that_are_no_numbers_become_nan(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    path = folder / "jobs" / "unet-adam" / "0-0" / "history.csv"
    path.write_text("epoch,train_loss\n1,inf\n2,oops\n", encoding="utf-8")
    loss = read_folder(folder).jobs[0].history["train_loss"]
    assert np.isinf(loss[0])
    assert np.isnan(loss[1])


def test_an_edited_ledger_is_not_verified(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    path = folder / "ledger.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("unet-adam", "unet-sgd", 1), encoding="utf-8")
    state = read_folder(folder).ledger
    assert not state.verified
    assert "was changed at line" in (state.problem or "")


def test_a_missing_ledger_proves_nothing(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    (folder / "ledger.jsonl").unlink()
    assert not read_folder(folder).ledger.verified


def test_a_second_opening_and_a_changed_plan_are_seen(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    Ledger(folder).append(TEST_OPENED, jobs=12)
    path = folder / "protocol.toml"
    path.write_text(path.read_text(encoding="utf-8") + "[endpoints]\nmargin = 0.2\n", encoding="utf-8")
    state = read_folder(folder).ledger
    assert state.test_openings == 2
    assert state.plan_changed
    path.unlink()
    assert read_folder(folder).ledger.plan_changed


def test_a_folder_without_extras_is_read(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    for name in ("thumbnails.npz", "cases.csv"):
        (folder / name).unlink()
    (folder / "baselines").rename(folder / "elsewhere")
    run = read_folder(folder)
    assert len(run.problems) == 3
    assert run.thumbnails == {}
    assert run.baselines == ()


def test_predictions_changed_after_the_opening_are_seen(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    path = folder / "jobs" / "unet-adam" / "0-0" / "predictions.parquet"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    Ledger(folder).append(PREDICTED, sha256={"unet-adam/0-0": digest, "gone/0-0": digest})
    assert read_folder(folder).ledger.verified
    path.write_bytes((folder / "jobs" / "unet-adam" / "0-1" / "predictions.parquet").read_bytes())
    state = read_folder(folder).ledger
    assert not state.verified
    assert "jobs/unet-adam/0-0/predictions.parquet is not the file" in (state.problem or "")


def test_the_very_file_that_was_locked_is_no_changed_plan(make_folder: Make) -> None:
    """A later version may know more defaults, and so give the same file another canonical hash."""
    folder = make_folder(patients=60)
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    lock["protocol_sha256"] = "of an earlier version"
    (folder / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    assert read_folder(folder).ledger.plan_changed
    lock["protocol_file_sha256"] = hashlib.sha256((folder / "protocol.toml").read_bytes()).hexdigest()
    (folder / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    assert not read_folder(folder).ledger.plan_changed
