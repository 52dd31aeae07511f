import json

import pytest

from equipoise.errors import LedgerError
from equipoise.live.state import ENDED, JUDGING, PREDICTING, STOPPED, TRAINING, LiveReader
from equipoise.runfolder.ledger import PREDICTED, TEST_OPENED


def test_epochs_losses_and_time_left_of_every_job(running, held):
    running.epochs(4)
    running.end()
    running.epochs(1, seed=1, each=3.0)
    running.epochs(2, arm="net.2")
    state = LiveReader(running.path).read()
    assert state.phase == TRAINING
    assert state.epochs() == (7, 16)
    assert [job.status for job in state.jobs] == ["finished", "running", "running", "waiting"]
    by_name = {job.name: job for job in state.jobs}
    assert state.seconds_of(by_name["unet/0-1"]) == 9.0
    assert state.seconds_of(by_name["net.2/0-1"]) == 8.0, "as its arm, which has run elsewhere"
    assert state.seconds_left == (9.0 + 4.0 + 8.0) / 2, "two run side by side"
    public = json.loads(json.dumps(state.as_json()))
    assert public["jobs"][2]["validation_endpoint"] == 0.5
    assert public["ended"] is False


def test_phases_in_their_order(running, held):
    reader = LiveReader(running.path)
    assert reader.read().phase == TRAINING
    running.ledger.append(TEST_OPENED, jobs=[])
    assert reader.read().phase == PREDICTING
    running.ledger.append(PREDICTED)
    assert reader.read().phase == JUDGING
    (running.path / "results.json").write_text("{}")
    assert reader.read().phase == JUDGING, "while a process holds the folder, it still writes"
    held["held"] = False
    assert reader.read().phase == ENDED


def test_a_trial_that_nothing_works_on_was_stopped(running, held):
    running.epochs(2)
    held["held"] = False
    state = LiveReader(running.path).read()
    assert state.phase == STOPPED
    assert state.is_over
    assert {job.status for job in state.jobs} == {"waiting"}
    held["held"] = None
    assert LiveReader(running.path).read().phase == TRAINING, "unknown is not stopped"


def test_files_that_are_being_written_do_no_harm(running, held):
    running.epochs(2)
    history = running.folder() / "history.csv"
    history.write_text(history.read_text() + "3,0.3")
    ledger = running.path / "ledger.jsonl"
    ledger.write_text(ledger.read_text() + '{"data": {"jo')
    (running.folder("net.2") / "done.json").write_text('{"status": "fin')
    state = LiveReader(running.path).read()
    assert [job.epoch for job in state.jobs][:2] == [2, 0]
    (running.path / "protocol.toml").write_text("[training")
    assert LiveReader(running.path).read().jobs[0].epochs == 12, "the protocol's default"


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="not a run folder"):
        LiveReader(tmp_path).read()


def test_a_job_that_has_ended_is_read_once(running, held):
    reader = LiveReader(running.path)
    running.epochs(4)
    running.end()
    assert reader.read().jobs[0].epoch == 4
    (running.folder() / "history.csv").unlink()
    assert reader.read().jobs[0].epoch == 4
