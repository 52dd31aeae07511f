"""What a node of a cluster does for a call, and what is refused before a cluster is joined; without Ray."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from equipoise.engines import jobs, ray_cluster, ray_node
from equipoise.engines.execution import Execution
from equipoise.engines.local import DIED, KILLED, Workers
from equipoise.engines.ray_node import Place, answer, facts
from equipoise.errors import EquipoiseError


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield Place(str(tmp_path), 1, facts(with_host=True))
    for worker in ray_node._WORKERS.values():
        worker.stop()
    ray_node._WORKERS.clear()


def test_a_call_is_answered_in_the_heads_folder_by_one_process_that_is_kept(place):
    assert answer("os.path:realpath", "x", place) == ("result", os.path.realpath("x"))
    (worker,) = ray_node._WORKERS.values()
    pid = worker.process.pid
    assert answer("os.path:basename", "/a/b", place) == ("result", "b")
    assert worker.process.pid == pid
    kind, text = answer("os:_exit", 3, place)
    assert (kind, "exit code 3" in text) == (DIED, True)
    kind, text = answer("os.path:getsize", "/not/there", place)
    assert kind == "OSError"
    assert text.endswith(")")
    assert "(on node " in text


@pytest.mark.parametrize("fact", ["torch", "equipoise", "equipoise's files", "cpu_flags"])
def test_a_node_with_other_software_or_of_another_kind_is_refused_by_name(place, fact):
    other = replace(place, facts=place.facts | {fact: "other"})
    kind, text = answer("os.path:basename", "/a/b", other)
    assert kind == "unlike"
    assert f"{fact} {place.facts[fact]}, not other" in text
    assert not ray_node._WORKERS


def test_the_kind_of_machine_counts_only_where_it_is_asked_for(place):
    assert set(place.facts) - set(facts(with_host=False)) == {"cpu", "cpu_flags"}


def test_a_node_that_does_not_see_the_folder_is_told(place):
    kind, text = answer("os.path:basename", "/a/b", replace(place, folder="/not/there"))
    assert kind == "unlike"
    assert "cannot open /not/there (No such file or directory)" in text


def test_without_ray_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EquipoiseError, match=r"needs the package ray .*install equipoise\[ray\]"):
        jobs.workers_of(1, Execution("ray"))


@pytest.mark.long
def test_jobs_on_this_machine_load_nothing_of_ray():
    script = (
        "import sys\n"
        "from equipoise.engines.jobs import workers_of\n"
        "workers_of(1)\n"
        "print([name for name in sys.modules if name.startswith(('ray.', 'equipoise.engines.ray')) or name == 'ray'])\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
    assert isinstance(jobs.workers_of(1), Workers)


def test_only_one_module_names_ray():
    engines = Path(ray_cluster.__file__).parents[1]
    importing = [path.name for path in engines.rglob("*.py") if "import ray\n" in path.read_text(encoding="utf-8")]
    assert importing == ["ray_cluster.py"]


def test_an_address_of_a_client_is_refused():
    with pytest.raises(EquipoiseError, match="give HOST:PORT"):
        ray_cluster.refuse_open("ray://head:10001")


@pytest.mark.parametrize(("printed", "refused"), [("let in\n", True), ("", False)])
def test_a_cluster_that_lets_a_stranger_in_is_refused(monkeypatch, printed, refused):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    seen = {}

    def stranger(_command, env, **_):
        seen.update(env)
        return subprocess.CompletedProcess([], 0, stdout=printed)

    monkeypatch.setattr(subprocess, "run", stranger)
    if refused:
        with pytest.raises(EquipoiseError, match="accepts every client that can reach it.*RAY_AUTH_MODE=token"):
            ray_cluster.refuse_open("head:6379")
    else:
        ray_cluster.refuse_open("head:6379")
    assert seen["RAY_AUTH_MODE"] == "disabled"
    assert "RAY_AUTH_TOKEN" not in seen


def test_a_call_that_waits_for_ever_or_fails_ends_in_one_sentence():
    patience = ray_cluster._Patience()
    with pytest.raises(EquipoiseError, match="the cluster did not answer within 0 s"):
        patience.call(0.01, lambda: time.sleep(0.5), "the cluster")
    with pytest.raises(EquipoiseError, match=r"the cluster cannot be joined \(no such head\)"):
        patience.call(5, lambda: sys.exit("no such head"), "the cluster")
    patience.call(5, lambda: None, "the cluster")
    patience.release()


class Frozen:
    """In place of Ray: two calls run, of which the first never answers, whatever it is told."""

    def __init__(self):
        self.cancelled = []
        self.exceptions = SimpleNamespace(RayError=RuntimeError)

    def cluster_resources(self):
        return {"CPU": 2}

    def remote(self, _function):
        submitted = SimpleNamespace(remote=lambda _function, argument, _place: argument)
        return SimpleNamespace(options=lambda **_: submitted)

    def wait(self, references, timeout):
        return [one for one in references if one != "frozen"], []

    def get(self, reference):
        return "result", reference

    def cancel(self, reference, force):
        assert force
        self.cancelled.append(reference)


def test_a_call_that_does_not_end_when_told_is_left_behind(monkeypatch):
    monkeypatch.setattr(ray_cluster, "_ray", Frozen)
    monkeypatch.setattr(ray_cluster, "LEFT_BEHIND_SECONDS", 0.0)
    cluster = ray_cluster.RayCluster(1)
    cluster._place = None

    def tick():
        if cluster.running() == [0]:
            cluster.end(0, "it stood still")
            cluster.end(0, "told again")

    results = dict(cluster.run("m:f", ["frozen", "well"], tick))
    assert results[1] == "well"
    assert (results[0].kind, str(results[0])) == (KILLED, "it stood still, and did not answer")
    assert cluster._ray.cancelled == ["frozen"]
    assert cluster.running() == []


CHILD = """
import sys, time
from equipoise.engines import ray_node
ray_node.DAEMON_SECONDS = 0.1
ray_node.answer("os.path:basename", "/a/b", ray_node.Place(sys.argv[1], 1, {}))
(worker,) = ray_node._WORKERS.values()
print(worker.process.pid, flush=True)
time.sleep(600)
"""
DAEMON = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.long
def test_processes_of_a_node_end_with_its_daemon(tmp_path):
    command = [sys.executable, "-c", DAEMON, str(tmp_path), CHILD]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    processes = [psutil.Process(int(daemon.stdout.readline())) for _ in range(2)]
    assert all(one.is_running() for one in processes)
    daemon.kill()
    daemon.communicate()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive
