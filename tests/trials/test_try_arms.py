"""An arm that cannot train is an error of the protocol; one whose process was killed, or lacked memory, is none."""

from types import SimpleNamespace

import pytest

from equipoise.engines.local import DIED, KILLED, Failure
from equipoise.errors import Interrupted, ProtocolError
from equipoise.trials import run


@pytest.mark.parametrize(
    ("failure", "error", "words"),
    [
        (
            Failure(KILLED, "the worker was killed (SIGKILL)"),
            Interrupted,
            "in its first step; run the same command again",
        ),
        (
            Failure("MemoryError", "out of memory"),
            Interrupted,
            "arm 'one': out of memory in its first step; run the same",
        ),
        (Failure(DIED, "the worker crashed"), ProtocolError, "arm 'one': the worker crashed in its first step"),
        (Failure("ProtocolError", "arm 'one': no such depth"), ProtocolError, "^arm 'one': no such depth$"),
    ],
)
def test_only_what_the_arm_itself_does_is_held_against_it(monkeypatch, failure, error, words):
    monkeypatch.setattr(run, "first_samples", lambda _trial: None)
    job = SimpleNamespace(arm=SimpleNamespace(name="one"), fold=0, draw=None, members=())
    trial = SimpleNamespace(jobs=[job], draws=[], protocol=SimpleNamespace(arms=[job.arm]))
    workers = SimpleNamespace(run=lambda _function, requests, _tick: [(0, failure)] if requests else [])
    with pytest.raises(error, match=words):
        run.try_arms(trial, workers)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_arms_that_share_a_fault_are_all_named_in_their_order(monkeypatch, order):
    monkeypatch.setattr(run, "first_samples", lambda _trial: None)
    jobs = [SimpleNamespace(arm=SimpleNamespace(name=one), fold=0, draw=None, members=()) for one in "abc"]
    texts = ["arm 'a': no such depth", "arm 'b' cannot train on these images", "arm 'c': no such depth"]
    outcomes = [(number, Failure("ProtocolError", texts[number])) for number in order]
    trial = SimpleNamespace(jobs=jobs, draws=[], protocol=SimpleNamespace(arms=[job.arm for job in jobs]))
    workers = SimpleNamespace(run=lambda _function, _requests, _tick: outcomes)
    with pytest.raises(ProtocolError) as error:
        run.try_arms(trial, workers)
    assert str(error.value) == "arms 'a' and 'c': no such depth; arm 'b' cannot train on these images"
