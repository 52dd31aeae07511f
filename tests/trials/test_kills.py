"""Twenty kills at random moments, of the command and of its workers, leave the results of a run that nobody disturbed.

The sweep of `docs/scale.md`; EQUIPOISE_KILLS sets the number of kills of each kind.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

KILLS = int(os.environ.get("EQUIPOISE_KILLS", "20"))
A_RUN = 5
"""Kills of one run, one after another, before it is let through to its end."""
PROTOCOL = """
[cohort]
source = "phantom"
cases = 80
size = 16
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 4
seeds = [0, 1]
{tuning}
[[arms]]
name = "unet"
model = {{name = "unet", preset = "tiny"}}
[[arms]]
name = "densenet"
model = {{name = "densenet", preset = "tiny"}}
"""


def command(folder: Path, run: str, **changes: str) -> "subprocess.Popen[bytes]":
    """Start `equipoise run` with a cache of its own, so that no other run's openings are known."""
    environment = os.environ | {"EQUIPOISE_CACHE": str(folder / f"cache-{run}"), "EQUIPOISE_CORES": "2"} | changes
    text = [sys.executable, "-P", "-m", "equipoise", "run", "protocol.toml", "--out", run, "--quiet"]
    return subprocess.Popen(text, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finished(folder: Path, run: str, **changes: str) -> dict[str, str]:
    """Run to the end; the results without costs, and the hashes of weights and predictions."""
    started = command(folder, run, **changes)
    complaint = started.communicate()[1]
    assert started.returncode == 0, complaint.decode()[-2000:]
    results = json.loads((folder / run / "results.json").read_text())
    for entry in (*results["arms"], *results["untuned"], *results["baselines"]):
        entry.pop("cost")
        entry.pop("pareto", None)
    for key in ("recommendation", "ledger", "environments", "created_at"):
        results.pop(key, None)
    digests = {"results": json.dumps(results, sort_keys=True)}
    for file in sorted((folder / run).rglob("*")):
        if file.name in ("model.safetensors", "predictions.parquet"):
            digests[str(file.relative_to(folder / run))] = hashlib.sha256(file.read_bytes()).hexdigest()
    verified = subprocess.run(
        [sys.executable, "-P", "-m", "equipoise", "ledger", "verify", run], cwd=folder, capture_output=True, check=False
    )
    assert verified.returncode == 0, verified.stdout
    return digests


def left_alive(before: set[int]) -> list[str]:
    """Processes of this project that outlive what started them."""
    time.sleep(1.0)
    others = (one.info for one in psutil.process_iter(["pid", "cmdline", "ppid"]) if one.pid not in before)
    commands = [" ".join(one["cmdline"] or ()) for one in others if one["ppid"] == 1]
    return [text for text in commands if "equipoise" in text]


@pytest.fixture(scope="module", params=["plain", "tuned"])
def undisturbed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    tuning = "[tuning]\ndraws = 2\nepochs = 2" if request.param == "tuned" else ""
    (folder / "protocol.toml").write_text(PROTOCOL.format(tuning=tuning))
    began = time.monotonic()
    digests = finished(folder, "undisturbed")
    return folder, digests, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["command", "worker"])
def test_a_run_that_is_killed_ends_as_the_undisturbed_one(undisturbed, victim):
    folder, digests, seconds = undisturbed
    chance = random.Random(f"{victim} {folder.name}")
    alive = {process.pid for process in psutil.process_iter()}
    for number in range(KILLS // A_RUN):
        run = f"{victim}-{number}"
        for _ in range(A_RUN):
            started = command(folder, run)
            time.sleep(chance.uniform(0.3, 0.9 * seconds))
            below = list[psutil.Process]()
            try:
                below = psutil.Process(started.pid).children(recursive=True)
                chosen = [psutil.Process(started.pid)] if victim == "command" or not below else [chance.choice(below)]
                chosen[0].kill()
            except psutil.NoSuchProcess:
                pass  # it had ended already
            if victim == "worker" and below:
                # One worker alone: the run goes on, or ends as interrupted, and never hangs.
                assert started.wait(timeout=20 * seconds) in (0, 75)
            else:
                assert started.wait() in (0, -signal.SIGKILL)
            started.stderr.close()
        assert finished(folder, run) == digests
        shutil.rmtree(folder / run)
    assert left_alive(alive) == []


@pytest.mark.slow
def test_place_language_time_zone_and_workers_change_no_bit(undisturbed):
    folder, digests, _ = undisturbed
    other = folder / "other place ä"
    other.mkdir()
    shutil.copy(folder / "protocol.toml", other)
    changes = {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Chatham", "PYTHONHASHSEED": "7", "EQUIPOISE_CORES": "1"}
    assert finished(other, "elsewhere", **changes) == digests


@pytest.mark.slow
def test_a_moved_run_folder_goes_on(undisturbed, tmp_path):
    folder, digests, seconds = undisturbed
    started = command(folder, "begun")
    time.sleep(0.6 * seconds)
    started.kill()
    started.wait()
    started.stderr.close()
    if not (folder / "begun" / "lock.json").is_file():
        pytest.skip("the machine was too slow to lock the plan in this time")
    shutil.move(folder / "begun", tmp_path / "moved")
    shutil.copy(folder / "protocol.toml", tmp_path)
    assert finished(tmp_path, "moved") == digests


@pytest.mark.slow
def test_two_commands_on_one_folder_leave_one_owner(undisturbed):
    folder, digests, _ = undisturbed
    first = command(folder, "shared")
    while not (folder / "shared" / "lock.json").is_file() and first.poll() is None:
        time.sleep(0.05)
    second = command(folder, "shared")
    complaint = second.communicate()[1].decode()
    assert second.returncode == 1
    assert "is in use by another run" in complaint
    assert first.wait() == 0
    first.stderr.close()
    assert finished(folder, "shared") == digests
