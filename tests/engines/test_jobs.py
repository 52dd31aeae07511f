"""Jobs on an engine: in their order, with a second chance for those whose process died."""

import os
import signal
from pathlib import Path

import pytest

from equipoise.engines.execution import Execution
from equipoise.engines.jobs import OUT_OF_MEMORY, interrupted, run_jobs, workers_of
from equipoise.engines.local import DIED, KILLED, Failure, Workers
from equipoise.errors import EquipoiseError, LedgerError, Superseded
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job

ARM = Arm.model_validate({"name": "net", "model": "unet"})


def job(seed: int) -> Job:
    places = (Path("job"), Path("samples"), Path())
    return Job(ARM, 0, seed, *places, "classification", ("x", "y"), 1, 2, TrainingSection(), {}, "auc")


class Answers:
    """An engine that gives each job its next answer."""

    def __init__(self, **answers):
        self.answers = {int(name[1:]): list(given) for name, given in answers.items()}
        self.asked = []

    def run(self, _function, jobs, _tick):
        for index, each in enumerate(list(jobs)):
            self.asked.append(each.seed)
            yield index, self.answers[each.seed].pop(0)


def outcome(engine, seeds):
    return [(each.seed, result) for each, result in run_jobs(engine, "m:f", [job(s) for s in seeds], lambda _: {})]


def test_a_job_whose_process_died_is_tried_again_after_all_others():
    engine = Answers(s0=[Failure(DIED, "signal 9"), "done 0"], s1=["done 1"], s2=["done 2"])
    assert outcome(engine, [0, 1, 2]) == [(1, "done 1"), (2, "done 2"), (0, "done 0")]
    assert engine.asked == [0, 1, 2, 0]


def test_a_job_that_raised_is_not_tried_again():
    failure = Failure("ValueError", "no such layer")
    engine = Answers(s0=[failure], s1=["done 1"])
    assert outcome(engine, [0, 1]) == [(0, failure), (1, "done 1")]


def test_a_full_disk_is_no_property_of_the_arm():
    with pytest.raises(OSError, match="no space left"):
        outcome(Answers(s0=[Failure("OSError", "no space left")]), [0])


def ended_twice(kind: str, text: str) -> object:
    """The result of a job whose process ended so, twice."""
    ((_, result),) = outcome(Answers(s1=[Failure(kind, text), Failure(kind, text)]), [1])
    return result


@pytest.mark.parametrize("kind", [KILLED, OUT_OF_MEMORY])
def test_what_the_machine_lacks_is_an_interruption(kind):
    result = ended_twice(kind, "it ended")
    assert interrupted(result)
    assert str(result) == "arm 'net': it ended in job net/0-1"


def test_a_crash_names_arm_job_and_signal_and_is_no_interruption():
    result = ended_twice(DIED, "the worker crashed (segmentation fault in a native library)")
    assert not interrupted(result)
    text = "arm 'net': the worker crashed (segmentation fault in a native library) in job net/0-1"
    assert str(result) == text


def test_a_result_is_never_an_interruption():
    assert not any(map(interrupted, ({"status": "failed"}, "done", None)))


def test_a_job_that_another_run_trains_now_stops_this_run():
    with pytest.raises(Superseded, match="taken over"):
        outcome(Answers(s0=[Failure("Superseded", "taken over")], s1=["done 1"]), [0, 1])


def test_a_job_whose_code_is_not_the_locked_one_stops_this_run():
    with pytest.raises(LedgerError, match=r"helper\.py has changed"):
        outcome(Answers(s0=[Failure("LedgerError", "helper.py has changed")], s1=["done 1"]), [0, 1])


class Standing(Answers):
    """An engine whose jobs stand still until they are ended."""

    def run(self, _function, jobs, tick):
        for index, each in enumerate(list(jobs)):
            self.index, self.why = index, None
            tick()
            yield index, Failure(KILLED, self.why) if self.why else self.answers[each.seed].pop(0)

    def running(self):
        return [self.index]

    def end(self, index, why):
        assert index == self.index
        self.why = why


def test_a_job_that_is_ended_by_the_watch_is_tried_again_and_then_an_interruption():
    seen = []

    def look(running):
        seen.extend(each.name for each in running)
        return {"net/0-1": "it stood still"}

    ended = list(run_jobs(Standing(s0=["done 0"], s1=[]), "m:f", [job(0), job(1)], look))
    assert seen == ["net/0-0", "net/0-1", "net/0-1"]
    assert [str(result) for _, result in ended] == ["done 0", "arm 'net': it stood still in job net/0-1"]
    assert interrupted(ended[1][1])


def test_a_worker_that_stopped_can_be_ended_and_is_replaced():
    reasons = []

    def ends(workers):
        if workers.running() and not reasons:
            reasons.append("it stood still")
            os.kill(workers._workers[0].process.pid, signal.SIGSTOP)
            workers.end(workers.running()[0], reasons[0])
            workers.end(99, "no such call")

    with Workers(1) as workers:
        ((_, failure),) = workers.run("time:sleep", [60.0], lambda: ends(workers))
        assert (failure.kind, failure.text) == (KILLED, "it stood still")
        assert workers.running() == []
        assert dict(workers.run("os.path:basename", ["/a/b"], lambda: None)) == {0: "b"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"engine": "slurm"}, "engine 'slurm' is unknown; allowed: local, ray"),
        ({"address": "host:6379"}, "add --engine ray"),
        ({"stall_minutes": 0.0}, "--stall-minutes is 0; give a number above 0"),
        ({"stall_minutes": float("nan")}, "--stall-minutes is nan; give a number above 0"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(values, sentence):
    with pytest.raises(EquipoiseError, match=sentence):
        Execution(**values)


@pytest.mark.parametrize("how", [Execution("ray"), Execution(stall_minutes=3.0)])
def test_a_launcher_takes_no_other_engine_and_ends_no_process_alone(how, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(EquipoiseError, match="without torchrun"):
        workers_of(1, how)
