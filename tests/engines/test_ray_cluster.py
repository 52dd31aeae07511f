"""A trial on a Ray cluster gives the bytes of the same trial on this machine, also where a worker is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import equipoise
from equipoise.engines import ray_cluster
from equipoise.engines.execution import Execution
from equipoise.errors import EquipoiseError
from equipoise.trials.study import run_study

pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements/ray.txt")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

COMMON = """
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 3
seeds = [0, 1]
batch_size = 4
"""
ARM = """
[[arms]]
name = "{name}"
model = {{name = "{name}", preset = "tiny"}}
"""
FLAT = '[cohort]\nsource = "phantom"\ncases = 60\nsize = 16\n' + COMMON + ARM.format(name="densenet")
VOLUMES = (
    '[cohort]\nsource = "phantom"\ntask = "segmentation"\ncases = 16\nsize = 16\nspatial_dims = 3\n'
    + COMMON + ARM.format(name="unet")
)  # fmt: skip


TUNED = FLAT + "[tuning]\ndraws = 2\nepochs = 2\n"
STUDY = """
[study]
name = "two-optimizers"
question = "Which optimizer is better?"
[[study.cohorts]]
name = "discs"
cohort = {source = "phantom", cases = 60, size = 16}
[[study.models]]
name = "densenet"
model = {name = "densenet", preset = "tiny"}
[[study.optimizers]]
name = "adam"
optimizer = "adam"
[[study.optimizers]]
name = "sgd"
optimizer = {name = "sgd", lr = 0.1}
"""


def kept(run: Path, jobs: int = 2) -> dict[str, bytes]:
    """The files that must be equal: predictions, and weights."""
    names = [*run.glob("**/jobs/*/*/predictions.parquet"), *run.glob("**/jobs/*/*/checkpoint/model.safetensors")]
    assert len(names) == 2 * jobs
    return {file.relative_to(run).as_posix(): file.read_bytes() for file in names}


def workers() -> list[psutil.Process]:
    """The worker processes of this user that run calls."""
    return [
        one for one in psutil.process_iter(["cmdline"]) if "equipoise.engines.worker" in (one.info["cmdline"] or [])
    ]


@pytest.mark.parametrize(
    ("protocol", "kill", "jobs"),
    [(FLAT, True, 2), (VOLUMES, False, 2), (TUNED, False, 4)],
    ids=["2D, one kill", "3D", "tuned, and untuned twins"],
)
def test_results_are_those_of_this_machine(protocol, kill, jobs, tmp_path, without_times):
    file = tmp_path / "protocol.toml"
    file.write_text(protocol)
    here = equipoise.run(file, tmp_path / "local")
    before, killed = {one.pid for one in workers()}, []

    def watch(label, done, _total):
        """Kill a worker in the middle of a training, once."""
        if kill and not killed and label.startswith("training") and done:
            own = [one for one in workers() if one.pid not in before]
            if own:
                killed.append(own[0].pid)
                os.kill(own[0].pid, signal.SIGKILL)

    there = equipoise.run(file, tmp_path / "ray", engine="ray", watch=watch)
    assert len(killed) == kill
    assert json.dumps(without_times(there)) == json.dumps(without_times(here))
    assert kept(tmp_path / "ray", jobs) == kept(tmp_path / "local", jobs)
    assert not list((tmp_path / "ray").rglob(".writer*"))


def test_a_study_gives_the_bytes_of_this_machine(tmp_path, without_times):
    file = tmp_path / "study.toml"
    file.write_text(STUDY + COMMON)
    for engine in ("local", "ray"):
        run_study(file, tmp_path / engine, how=Execution(engine))
    place = Path("discs", "densenet", "results.json")
    here, there = (json.loads((tmp_path / name / place).read_text()) for name in ("local", "ray"))
    assert json.dumps(without_times(there)) == json.dumps(without_times(here))
    assert kept(tmp_path / "ray", 4) == kept(tmp_path / "local", 4)
    here, there = (json.loads((tmp_path / name / "study.json").read_text()) for name in ("local", "ray"))
    assert all(value.pop("train_seconds") > 0 for study in (here, there) for value in study["values"])
    assert json.dumps(there) == json.dumps(here)


CLUSTER = """
import sys, time
from ray.cluster_utils import Cluster
cluster = Cluster()
for node in (2, 3):
    cluster.add_node(num_cpus=1, node_ip_address=f"127.0.0.{node}", include_dashboard=False)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@contextmanager
def two_nodes(**settings: str) -> Iterator[str]:
    """The address of a cluster of two nodes on this machine, which ends with the block."""
    settings |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], env=os.environ | settings, text=True, **pipes) as started:
        try:
            yield next(line for line in started.stdout if line.startswith("127.")).strip()
        finally:
            started.stdin.close()
            started.wait(120)


def test_a_cluster_of_two_nodes_without_a_token_is_refused(monkeypatch):
    with two_nodes(RAY_AUTH_MODE="disabled") as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(EquipoiseError, match="accepts every client that can reach it"), ray_cluster.RayCluster(1):
            pass


def test_a_cluster_of_two_nodes_with_a_token_gives_the_bytes_of_this_machine(tmp_path, without_times):
    file = tmp_path / "protocol.toml"
    file.write_text(FLAT)
    here = equipoise.run(file, tmp_path / "local")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 32}
    command = [sys.executable, "-m", "equipoise", "run", str(file), "--out", str(tmp_path / "ray"), "--json", "--alike"]
    with two_nodes(**token) as address:
        settings = token | {"RAY_ADDRESS": address, "PYTHONPATH": os.pathsep.join(sys.path)}
        settings["EQUIPOISE_CACHE"] = str(tmp_path / "cache")  # it knows no opening of the other run
        ended = subprocess.run([*command, "--engine", "ray"], env=os.environ | settings, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert json.dumps(without_times(json.loads(ended.stdout))) == json.dumps(without_times(here))
    assert kept(tmp_path / "ray") == kept(tmp_path / "local")
