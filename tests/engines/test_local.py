import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from equipoise.engines.local import DIED, KILLED, Failure, Workers, ended_by
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples


def ended(function, arguments, threads=1):
    with Workers(threads) as workers:
        return dict(workers.run(function, arguments, lambda: None))


def test_every_call_gets_its_own_answer():
    assert ended("posixpath:basename", [f"/a/{n}" for n in range(7)]) == {n: str(n) for n in range(7)}


def test_no_calls_no_processes():
    assert ended("posixpath:basename", []) == {}


def test_a_process_that_cannot_start_is_an_answer(monkeypatch):
    def full(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", full)
    with Workers(1) as workers:
        ((index, failure),) = workers.run("os:getpid", [()], lambda: None)
    assert (index, failure.kind) == (0, KILLED)
    assert "no worker process could be started" in failure.text


@pytest.mark.long
def test_an_argument_that_cannot_be_sent_is_an_answer():
    with Workers(1) as workers:
        answers = dict(workers.run("builtins:len", [lambda: None, "abc"], lambda: None))
    assert answers[1] == 3
    assert "pickle" in answers[0].text


def test_an_error_is_an_answer_with_its_kind():
    (failure,) = ended("os.path:getsize", ["/not/there"]).values()
    assert isinstance(failure, Failure)
    assert failure.kind == "OSError"
    assert "No such file" in str(failure)


def test_a_process_that_dies_is_replaced_and_named():
    found = ended("os:_exit", [3])
    assert found[0].kind == DIED
    assert "exit code 3" in str(found[0])


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (-signal.SIGSEGV, DIED, "the worker crashed (segmentation fault in a native library)"),
        (-signal.SIGKILL, KILLED, "the worker was killed (SIGKILL, perhaps because memory ran out)"),
        (-signal.SIGTERM, KILLED, "the worker was killed (SIGTERM, perhaps at a scheduler's time limit)"),
        (-63, DIED, "the worker crashed (signal 63)"),
        (1, DIED, "the worker exited unexpectedly (exit code 1)"),
    ],
)
def test_the_end_of_a_process_is_told_by_its_signal(code, kind, text):
    assert (ended_by(code).kind, str(ended_by(code))) == (kind, text)


def test_the_watcher_is_called_while_waiting():
    ticks = []
    with Workers(1) as workers:
        list(workers.run("time:sleep", [1.2], lambda: ticks.append(1)))
    assert len(ticks) >= 2


def test_leaving_early_ends_the_workers():
    with Workers(1) as workers:
        calls = workers.run("time:sleep", [0.0, 600.0], lambda: None)
        next(calls)
        start = time.monotonic()
    assert time.monotonic() - start < 300, "it was waited for"


def test_workers_are_kept_between_runs():
    with Workers(1) as workers:
        first = {pid for _, pid in workers.run("os:getpgid", [0], lambda: None)}
        processes = [worker.process for worker in workers._workers]
        second = {pid for _, pid in workers.run("os:getpgid", [0], lambda: None)}
        assert [worker.process for worker in workers._workers] == processes
    assert first == second


@pytest.mark.long
def test_no_worker_outlives_a_killed_parent():
    script = (
        "import time, sys\n"
        "from equipoise.engines import local\n"
        "started = local.SingleWorker._start\n"
        "def start(self):\n"
        "    process = started(self)\n"
        "    print(process.pid, flush=True)\n"
        "    return process\n"
        "local.SingleWorker._start = start\n"
        "with local.Workers(1) as workers:\n"
        "    list(workers.run('time:sleep', [600.0], lambda: None))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    time.sleep(0.5)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        stat = Path(f"/proc/{worker}/stat")
        status = stat.read_text().split()[2] if stat.exists() else "Z"
        if status == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the worker still runs 120 s after its parent was killed")


@pytest.mark.long
def test_results_do_not_depend_on_how_many_jobs_run_at_once(tmp_path, monkeypatch):
    for part, n in (("train", 24), ("validation", 8)):
        images = np.random.default_rng(n).normal(size=(n, 1, 16, 16)).astype(np.float32)
        names = tuple(f"{part}{i}" for i in range(n))
        Samples(images, np.arange(n) % 2, names, names).save(tmp_path / "samples" / part)

    def job(at_once, seed):
        arm = Arm.model_validate({"name": "a", "model": {"name": "densenet", "preset": "tiny", "dropout": 0.1}})
        places = (tmp_path / f"{at_once}-{seed}", tmp_path / "samples", tmp_path)
        training = TrainingSection(epochs=2, batch_size=8)
        augmentation = {"rotate_degrees": 10, "noise": 0.1}
        return Job(arm, 0, seed, *places, "classification", ("x", "y"), 1, 2, training, augmentation, "auc")

    weights = {}
    for at_once in (1, 2):
        monkeypatch.setenv("EQUIPOISE_CORES", str(at_once))
        jobs = [job(at_once, seed) for seed in range(2)]
        done = ended("equipoise.training.loop.train:train", jobs)
        assert [done[index]["status"] for index in range(2)] == ["finished", "finished"]
        assert {done[index]["threads"] for index in range(2)} == {1}
        weights[at_once] = [load_file(one.weights_file) for one in jobs]
    for alone, beside in zip(weights[1], weights[2], strict=True):
        assert all(np.array_equal(beside[name], value) for name, value in alone.items())
    first, second = weights[1]
    assert any(not np.array_equal(second[name], value) for name, value in first.items())


@pytest.mark.long
def test_what_an_exception_says_is_one_line():
    text = "raise RuntimeError('Error(s) in loading:\\n\\tMissing key(s): 1.\\n\\tSize mismatch')"
    with Workers(1) as workers:
        (outcome,) = dict(workers.run("builtins:exec", [text], lambda: None)).values()
    assert str(outcome) == "RuntimeError: Error(s) in loading: Missing key(s): 1. Size mismatch"
