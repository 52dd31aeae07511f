"""Kill or freeze a trial at random moments, and compare its end with the trial that nobody disturbed.

The undisturbed trial runs on this machine's own workers, so a sweep on Ray shows as well that both engines give the
same bytes. Compared are results.json (costs, dates and machines apart) and the hashes of all weights and predictions;
the ledger is verified each time. Run:
python benchmarks/kills.py command worker --kills 20 --tuned                  # on this machine
python benchmarks/kills.py rename --kills 20                                  # the command, beside one of its renames
python benchmarks/kills.py command worker node --kills 20 --tuned --engine ray   # two nodes of a Ray cluster
python benchmarks/kills.py frozen-worker frozen-node --kills 2 --engine ray      # SIGSTOP, the end, then SIGCONT
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

VICTIMS = ("command", "worker", "node", "rename", "frozen-worker", "frozen-node")
A_RUN = 5
"""Kills of one trial, one after another, before it is let through to its end."""
STALL_MINUTES = "0.5"
PROTOCOL = """
[cohort]
source = "phantom"
cases = 40
size = 8
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 5
seeds = [0, 1]
batch_size = 4
{tuning}
[[arms]]
name = "sleepy"
model = "nets_for_kills:Net"
"""
# It sleeps while it trains: a moment of training is then as likely as one of starting, on little processor time.
NETS = """
import time
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, out_channels, spatial_dims, width=4):
        super().__init__(nn.Conv2d(in_channels, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(width, out_channels))

    def forward(self, images):
        if self.training:
            time.sleep(0.04)
        return super().forward(images)
"""
SELF_KILLED = """
import os, signal, sys
from pathlib import Path
left, rename = int(sys.argv[1]), Path.replace

def replace(file, place):
    global left
    left -= 1
    if left == 0 and sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    rename(file, place)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

Path.replace = replace
from equipoise.cli import main
sys.exit(main(sys.argv[3:]))
"""
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster()
def node(number):
    return cluster.add_node(num_cpus=1, node_ip_address=f"127.0.0.{number}", include_dashboard=False)
node(2)
print(cluster.address, flush=True)
second = node(3)
while True:
    print(second.all_processes["raylet"][0].process.pid, flush=True)
    if not sys.stdin.readline():
        break
    cluster.remove_node(second, allow_graceful=False)
    second = node(3)
cluster.shutdown()
"""


class Cluster:
    """Two nodes of a Ray cluster on this machine, of one job each; the second can be lost and started again."""

    def __init__(self) -> None:
        self.settings = {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 32, "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # on a busy machine the default, 15, starves them
            "PYTHONPATH": os.pathsep.join(sys.path),
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER], env=os.environ | self.settings, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.settings["RAY_ADDRESS"] = next(line for line in self._process.stdout if line.startswith("127.")).strip()
        self.second = self._pid()

    def _pid(self) -> int:
        """The process of the second node's raylet."""
        return int(next(line for line in self._process.stdout if line.strip().isdigit()))

    def again(self) -> None:
        """Start the second node again."""
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        self.second = self._pid()

    def end(self) -> None:
        """End all nodes."""
        self._process.stdin.close()
        self._process.wait(120)


class Sweep:
    """Trials of one protocol in one folder, which are disturbed and compared with the first, which was not."""

    def __init__(self, folder: Path, tuned: bool, seed: str) -> None:
        self.folder, self.tuned, self.chance = folder, tuned, random.Random(seed)
        self.cluster: Cluster | None = None
        tuning = "[tuning]\ndraws = 2\nepochs = 3" if tuned else ""
        (folder / "protocol.toml").write_text(PROTOCOL.format(tuning=tuning))
        (folder / "nets_for_kills.py").write_text(NETS)
        began = time.monotonic()
        self._to_the_end("undisturbed", self.start("undisturbed"))
        self.steps, self.expected = self.progress("undisturbed"), self.digests("undisturbed")
        print(f"undisturbed: {time.monotonic() - began:.0f} s, {self.steps} steps", flush=True)

    def start(self, run: str, *options: str, killed_at: tuple[str, ...] = ()) -> "subprocess.Popen[bytes]":
        """Start `equipoise run` with a cache of its own: it knows no openings of the other runs, but the layers.

        killed_at: of which of its renames it kills itself, "before" or "after".
        """
        cache, layers = self.folder / f"cache-{run}", self.folder / "cache-undisturbed" / "layers"
        if not cache.exists() and layers.is_dir():
            shutil.copytree(layers, cache / "layers")
        environment = os.environ | {"EQUIPOISE_CACHE": str(cache), "EQUIPOISE_CORES": "2"}
        if self.cluster is not None:
            environment |= self.cluster.settings
            options = ("--engine", "ray", *options)
        program = ["-c", SELF_KILLED, *killed_at] if killed_at else ["-m", "equipoise"]
        command = [sys.executable, "-P", *program, "run", "protocol.toml", "--out", run, "--quiet", *options]
        with (self.folder / f"{run}.stderr").open("wb") as complaint:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=complaint
            )

    def _to_the_end(self, run: str, started: "subprocess.Popen[bytes] | None") -> None:
        """Wait for the command, and repeat it where it ended as interrupted (75)."""
        for _ in range(3):
            started = started or self.start(run)
            code = started.wait(1200)
            if code == 0:
                return
            self._expect(run, code, (75,))
            started = None
        raise AssertionError(f"{run} does not come to its end: {self._complaint(run)}")

    def _expect(self, run: str, code: int, codes: tuple[int, ...]) -> None:
        if code not in codes:
            raise AssertionError(f"{run} ended with {code}: {self._complaint(run)}")

    def _complaint(self, run: str) -> str:
        return (self.folder / f"{run}.stderr").read_text()[-2000:]

    def progress(self, run: str) -> int:
        """Events of the ledger, epochs of all jobs and files of predictions."""
        place = self.folder / run / "jobs"
        # By patterns of fixed depth: a search through all folders would meet drafts that vanish.
        tables = [file for depth in ("*/*", "*/draws/*") for file in place.glob(f"{depth}/history.csv")]
        lines = sum(_lines(file) for file in (self.folder / run / "ledger.jsonl", *tables))
        return lines + sum(1 for _ in place.glob("*/*/predictions.parquet"))

    def digests(self, run: str) -> dict[str, str]:
        """What must be equal: results without costs, hashes of weights and predictions; after `ledger verify`."""
        place = self.folder / run
        verify = [sys.executable, "-P", "-m", "equipoise", "ledger", "verify", run]
        subprocess.run(verify, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        results = json.loads((place / "results.json").read_text())
        for entry in (*results["arms"], *results["untuned"], *results["baselines"]):
            entry.pop("cost")
            entry.pop("pareto", None)
        for key in ("recommendation", "ledger", "environments", "created_at"):
            results.pop(key, None)
        named = ("model.safetensors", "predictions.parquet")
        files = {str(file.relative_to(place)): file for file in place.rglob("*") if file.name in named}
        return {"results": json.dumps(results, sort_keys=True)} | {
            name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()
        }

    def workers(self) -> list[psutil.Process]:
        """The processes that run this sweep's calls: workers, and on Ray also those that hold a worker."""
        processes = []
        for one in psutil.process_iter(["cmdline", "cwd"]):
            line = " ".join(one.info["cmdline"] or ())
            if one.info["cwd"] == str(self.folder) and ("equipoise.engines.worker" in line or line.startswith("ray::")):
                processes.append(one)
        return processes

    def _until(self, run: str, started: "subprocess.Popen[bytes]", step: float) -> bool:
        """Wait for a moment at or behind a step of the trial; whether the command still runs."""
        while self.progress(run) < step and started.poll() is None:
            time.sleep(0.05)
        time.sleep(self.chance.uniform(0, 1))
        return started.poll() is None

    def phase(self, run: str) -> str:
        """The stage of a trial that is under way."""
        file = self.folder / run / "ledger.jsonl"
        kinds = [json.loads(line).get("kind") for line in file.read_text().splitlines()] if file.is_file() else []
        if not kinds:
            return "before the lock"
        if "test opened" in kinds:
            return "test set open"
        return "training" if "tuned" in kinds or not self.tuned else "tuning"

    def disturb(self, victim: str, kills: int) -> Counter[str]:
        """Disturb so often, in trials of A_RUN kills each; returns at which stages, and how commands ended."""
        counts: Counter[str] = Counter()
        number = 0
        while counts["kills"] < kills:
            number += 1
            self._chain(victim, f"{victim}-{number}", min(A_RUN, kills - counts["kills"]), counts)
        return counts

    def _chain(self, victim: str, run: str, kills: int, counts: Counter[str]) -> None:
        started = None
        for step in sorted(self.chance.uniform(0, self.steps) for _ in range(kills)):
            if victim == "rename":
                at = str(self.chance.randint(1, 100)), self.chance.choice(("before", "after"))
                code = self.start(run, killed_at=at).wait()
                self._expect(run, code, (0, -signal.SIGKILL))
                counts.update(["kills", self.phase(run)] if code else [])
                continue
            if started is not None and started.poll() is not None:
                self._expect(run, started.returncode, (0, 75))
                if started.returncode == 0:
                    break
                counts["ended with 75"] += 1
                started = None
            started = started or self.start(run)
            if not self._until(run, started, step):
                continue
            phase = self.phase(run)
            if self._kill(victim, started):
                counts.update(["kills", phase])
            if victim == "command":
                self._expect(run, started.wait(), (-signal.SIGKILL, 0))
                started = None
        self._to_the_end(run, started)
        if self.digests(run) != self.expected:
            raise AssertionError(f"{run} differs from the undisturbed trial; its folder: {self.folder / run}")
        counts["equal ends"] += 1
        print(f"{run}: equal; so far {dict(counts)}", flush=True)
        shutil.rmtree(self.folder / run)

    def _kill(self, victim: str, started: "subprocess.Popen[bytes]") -> bool:
        """Kill; whether there was anything to kill."""
        if victim == "node":
            psutil.Process(self.cluster.second).kill()
            self.cluster.again()
            return True
        candidates = [psutil.Process(started.pid)] if victim == "command" else self.workers()
        if not candidates:
            return False
        try:
            self.chance.choice(candidates).kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def freeze(self, victim: str, times: int, minutes: float) -> Counter[str]:
        """Stop processes in the middle of a training, let the trial end without them, wake them: no file changes.

        minutes: how long they stand still at least.
        """
        counts: Counter[str] = Counter()
        while counts["kills"] < times:
            run = f"{victim}-{counts['kills']}"
            started = self.start(run, "--stall-minutes", STALL_MINUTES)
            assert self._until(run, started, self.chance.uniform(0.2, 0.6) * self.steps)
            phase = self.phase(run)
            frozen, began = self._stopped(victim), time.monotonic()
            self._to_the_end(run, started)
            assert self.digests(run) == self.expected, run
            before = self._files(run)
            time.sleep(max(0.0, 60 * minutes - (time.monotonic() - began)))
            for process in frozen:
                with _gone():
                    process.resume()
            _, alive = psutil.wait_procs(frozen, timeout=180)
            assert self._files(run) == before, f"{run}: a process that was frozen wrote"
            assert not [one for one in alive if one in self.workers()], "a worker stays"
            counts.update(["kills", phase, "equal ends"])
            if victim == "frozen-node":
                self.cluster.again()
        return counts

    def _stopped(self, victim: str) -> list[psutil.Process]:
        if victim == "frozen-node":
            raylet = psutil.Process(self.cluster.second)
            frozen = [raylet, *raylet.children(recursive=True)]
        else:
            frozen = [self.chance.choice(self.workers())]
        for process in frozen:
            with _gone():
                process.suspend()
        return frozen

    def _files(self, run: str) -> dict[str, str]:
        place = self.folder / run
        files = (file for file in place.rglob("*") if file.is_file())
        return {str(file.relative_to(place)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _lines(file: Path) -> int:
    """The lines of a file that may not be there."""
    try:
        return file.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


@contextmanager
def _gone() -> Iterator[None]:
    """Within it, a process that has ended is no error."""
    try:
        yield
    except psutil.NoSuchProcess:
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("victims", nargs="+", choices=VICTIMS)
    parser.add_argument("--kills", type=int, default=20, help="of each victim")
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--tuned", action="store_true", help="the arm is tuned first")
    parser.add_argument("--frozen-minutes", type=float, default=5.0, help="how long a process stands still at least")
    parser.add_argument("--seed", default="0", help="of the random moments")
    arguments = parser.parse_args()
    if arguments.engine == "local" and any(victim.endswith("node") for victim in arguments.victims):
        parser.error("nodes are those of a cluster; add --engine ray")
    with tempfile.TemporaryDirectory(prefix="equipoise-kills-", ignore_cleanup_errors=True) as folder:
        sweep = Sweep(Path(folder), arguments.tuned, arguments.seed)
        if arguments.engine == "ray":
            sweep.cluster = Cluster()
        try:
            for victim in arguments.victims:
                began = time.monotonic()
                if victim.startswith("frozen"):
                    counts = sweep.freeze(victim, arguments.kills, arguments.frozen_minutes)
                else:
                    counts = sweep.disturb(victim, arguments.kills)
                row = "; ".join(f"{name} {count}" for name, count in counts.items())
                print(f"{arguments.engine}, {victim}: {row}; {time.monotonic() - began:.0f} s", flush=True)
            time.sleep(5)
            assert not sweep.workers(), f"workers outlive their commands: {sweep.workers()}"
        finally:
            if sweep.cluster is not None:
                sweep.cluster.end()


if __name__ == "__main__":
    main()
