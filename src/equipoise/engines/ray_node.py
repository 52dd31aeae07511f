"""What runs on a node of a cluster: a worker process as the local engine starts it, kept from call to call.

It imports no Ray: the cluster calls it by name.
"""

import hashlib
import os
import socket
import threading
import time
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from equipoise.engines.local import Failure, SingleWorker
from equipoise.runfolder.host import host_class

PACKAGES = ("equipoise", "torch", "numpy")


@dataclass(frozen=True)
class Place:
    """Where and with what a call runs: the head's working folder, threads of a call, and the facts that must hold."""

    folder: str
    threads: int
    facts: dict[str, str]


def facts(*, with_host: bool) -> dict[str, str]:
    """Return versions, a digest of this package's own files, and with `with_host` the kind of machine."""
    values = {name: _version(name) for name in PACKAGES} | {"equipoise's files": _digest()}
    return values | (host_class() if with_host else {})


def answer(function: str, argument: Any, place: Place) -> tuple[str, Any]:
    """Call the function named "module:function" in a worker process of this node.

    Returns ("result", value), (a failure's kind, its text), or ("unlike", sentence) where the node's software or kind
    is not the head's.
    """
    node = socket.gethostname()
    here = facts(with_host="cpu" in place.facts)
    others = [f"{key} {here.get(key)}, not {value}" for key, value in place.facts.items() if here.get(key) != value]
    if others:
        return "unlike", (
            f"node {node} differs from the machine that leads the trial ({', '.join(others)}); install the same "
            "versions there, or remove the node"
        )
    try:
        os.chdir(place.folder)
    except OSError as error:
        return "unlike", (
            f"node {node} cannot open {place.folder} ({error.strerror}); every node must see the working folder, the "
            "run folder and the data under the same path"
        )
    result = _worker((place.folder, place.threads, os.environ.get("CUDA_VISIBLE_DEVICES"))).call(function, argument)
    if not isinstance(result, Failure):
        return "result", result
    return result.kind, f"{result.text} (on node {node})" if result.kind == "OSError" else result.text


_WORKERS: dict[tuple[str, int, str | None], SingleWorker] = {}
DAEMON_SECONDS = 5.0
"""Between two looks whether the node's daemon, which started this process, still lives."""


@cache
def _follow_the_daemon() -> None:
    """End this process and its workers once the node's daemon has ended, from now on.

    A node that stood still for minutes is dead for its cluster, and its daemon ends as it wakes; the processes that ran
    its tasks were seen to stay, and with them their workers.
    """
    daemon = os.getppid()

    def follow() -> None:
        """Wait for the end of the daemon, then end this process."""
        while os.getppid() == daemon:
            time.sleep(DAEMON_SECONDS)
        for worker in _WORKERS.values():
            worker.stop()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _worker(key: tuple[str, int, str | None]) -> SingleWorker:
    """Return the worker of this process; another one where the call has another folder, threads or devices."""
    _follow_the_daemon()
    for other in [other for other in _WORKERS if other != key]:
        _WORKERS.pop(other).stop()
    return _WORKERS.setdefault(key, SingleWorker(key[1]))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@cache
def _digest() -> str:
    """Hash this package's files: two copies of one version may differ, as where one is being worked on."""
    root, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for file in sorted((*root.rglob("*.py"), *root.rglob("*.c"))):
        digest.update(f"{file.relative_to(root).as_posix()}\x1f".encode() + file.read_bytes())
    return digest.hexdigest()[:16]
