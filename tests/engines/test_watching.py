"""Jobs that run are watched: their epochs, and those that stand still."""

import logging
import os

import pytest

from equipoise.engines.watching import POLL_SECONDS, Watching, WatchingPredictions
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.runfolder.write import write_rows
from equipoise.runfolder.writer import Writer


@pytest.fixture
def two(tmp_path):
    arm = Arm.model_validate({"name": "net", "model": "unet"})
    training = TrainingSection(epochs=5)
    return [
        Job(arm, 0, n, tmp_path / str(n), tmp_path, tmp_path, "classification", ("x", "y"), 1, 2, training, {}, "auc")
        for n in range(2)
    ]


def epochs(job, number, each):
    rows = [{"epoch": n + 1, "seconds": each * (n + 1)} for n in range(number)]
    job.folder.mkdir(exist_ok=True)
    write_rows(job.folder / "history.csv", rows)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def watched(jobs, minutes=None):
    clock, shown = Clock(), []
    return Watching(jobs, shown.append, minutes, clock=clock), clock, shown


def test_only_what_runs_is_read_and_at_most_every_few_seconds(two, monkeypatch):
    epochs(two[0], 2, 1.0)
    watching, clock, shown = watched(two)
    read = []
    real = Job.history
    monkeypatch.setattr(Job, "history", lambda self: read.append(self.seed) or real(self))
    for tick in range(7):
        clock.now = tick * POLL_SECONDS / 2
        assert watching([two[1]]) == {}
    assert read == [1, 1, 1, 1]
    epochs(two[1], 3, 1.0)
    clock.now += POLL_SECONDS
    watching([two[1]])
    assert shown[0] == 2
    assert shown[-1] == 5
    two[1].write_end(status="finished")
    clock.now += POLL_SECONDS
    watching([])
    assert shown[-1] == 2 + 5, "early stopping counts as all epochs"
    watching.finish()
    assert shown[-1] == 7


def stood_still(watching, clock, jobs, seconds):
    for _ in range(int(seconds / POLL_SECONDS) + 1):
        clock.now += POLL_SECONDS
        late = watching(jobs)
        if late:
            return late
    return {}


def test_a_standstill_is_told_with_the_process_and_ever_more_rarely(two, caplog):
    epochs(two[0], 2, 10.0)
    Writer.begin(two[0].folder)
    watching, clock, _ = watched(two)
    with caplog.at_level(logging.WARNING, "equipoise"):
        stood_still(watching, clock, two[:1], 99)
        assert caplog.text == ""
        stood_still(watching, clock, two[:1], 9)
        assert "job net/0-0 has had no new epoch for 1.7 minutes, after 2 of 5; check whether process " in caplog.text
        stood_still(watching, clock, two[:1], 270)
        assert caplog.text.count("no new epoch") == 1
        stood_still(watching, clock, two[:1], 60)
        assert caplog.text.count("no new epoch") == 2
        epochs(two[0], 3, 10.0)
        stood_still(watching, clock, two[:1], 99)
        assert caplog.text.count("no new epoch") == 2


def test_a_first_epoch_may_take_long_unless_the_arm_is_known(two, caplog):
    watching, clock, _ = watched(two)
    with caplog.at_level(logging.WARNING, "equipoise"):
        stood_still(watching, clock, two[1:], 590)
        assert caplog.text == ""
        stood_still(watching, clock, two[1:], 30)
        assert "its process" in caplog.text
    caplog.clear()
    epochs(two[0], 1, 1.0)
    watching, clock, _ = watched(two)
    with caplog.at_level(logging.WARNING, "equipoise"):
        stood_still(watching, clock, two, 75)
    assert "net/0-0" in caplog.text
    assert "net/0-1" in caplog.text


def test_after_the_stated_minutes_it_is_to_be_ended_and_counted_anew(two):
    watching, clock, _ = watched(two, minutes=0.5)
    late = stood_still(watching, clock, two[:1], 60)
    assert late == {"net/0-0": "its worker was stopped after 0.6 minutes without a new epoch (--stall-minutes)"}
    assert 30 < clock.now <= 40
    assert stood_still(watching, clock, two[:1], 24) == {}
    assert stood_still(watching, clock, two[:1], 24).keys() == {"net/0-0"}


def test_a_prediction_that_stands_still_is_ended_and_one_that_answers_is_not(two, caplog):
    clock = Clock()
    watching = WatchingPredictions(0.5, clock=clock)
    writers = [Writer.begin(job.folder) for job in two]
    ended = []
    for tick in range(20):
        clock.now = 4.0 * tick
        (writers[1]._drafts / "beat").touch()
        os.utime(writers[1]._drafts / "beat", ns=(tick, tick + 1))
        ended += watching(two).items()
    assert [name for name, _ in ended] == ["net/0-0", "net/0-0"], "and the second chance, if it stands still too"
    assert "minutes without an answer (--stall-minutes)" in ended[0][1]
    writers[1].end()
    assert not list(two[1].folder.iterdir()), "nothing is left of the beats"


def test_a_prediction_that_stands_still_is_told_where_no_limit_is_set(two, caplog):
    clock = Clock()
    watching = WatchingPredictions(clock=clock)
    with caplog.at_level(logging.WARNING):
        for minute in range(15):
            clock.now = 60.0 * minute
            assert watching(two[:1]) == {}
    assert len(caplog.messages) == 1
    assert "predicts and has answered nothing for 11.0 minutes" in caplog.messages[0]
