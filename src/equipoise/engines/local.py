"""Jobs side by side on this machine, one process each; results do not depend on how many run at once."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from equipoise.engines.worker import receive, send

DIED = "died"
TICK_SECONDS = 1.0


@dataclass(frozen=True)
class Failure:
    """What a call ended with instead of a result: `kind` is an exception's name, or "died" for the process."""

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


def available_cores() -> int:
    """Cores this process may use; the environment's EQUIPOISE_CORES says fewer or more."""
    if os.environ.get("EQUIPOISE_CORES", "").isdigit():
        return max(1, int(os.environ["EQUIPOISE_CORES"]))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Worker processes, started when first needed and kept until the `with` block ends.

    threads: CPU threads of one call; as many calls run at once as the machine's cores allow.
    """

    def __init__(self, threads: int) -> None:
        self._workers = [_Worker(threads) for _ in range(max(1, available_cores() // threads))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.stop()

    def run(self, function: str, arguments: Sequence[Any], tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        """Call the function named "module:function" on every argument; yields (index, result) as calls end.

        The name is imported by the workers only, so that this process need not hold what they need (torch).

        A call that raises, or whose process dies, yields a Failure. `tick` is called about once a second meanwhile.
        """
        waiting: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        for item in enumerate(arguments):
            waiting.put(item)
        ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        for worker in self._workers[: len(arguments)]:
            threading.Thread(target=worker.serve, args=(function, waiting, ended), daemon=True).start()
        for _ in arguments:
            yield next_ended(ended, tick)


def next_ended(ended: "queue.SimpleQueue[tuple[int, Any]]", tick: Callable[[], None]) -> tuple[int, Any]:
    """The next call that ends; `tick` is called about once a second meanwhile."""
    while True:
        tick()
        try:
            return ended.get(timeout=TICK_SECONDS)
        except queue.Empty:
            continue


KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""For glibc: freed memory stays with the process, which would get it back page by page at every step of training."""


class _Worker:
    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.stopped = False
        self.process: subprocess.Popen[bytes] | None = None

    def serve(self, function: str, waiting: "queue.SimpleQueue[Any]", ended: "queue.SimpleQueue[Any]") -> None:
        """Pass waiting calls to the process until none is left; a process that died is replaced."""
        while not self.stopped:
            try:
                index, argument = waiting.get_nowait()
            except queue.Empty:
                return
            ended.put((index, self._call(function, argument)))

    def _call(self, function: str, argument: Any) -> Any:
        if self.process is None:
            self.process = self._start()
        process = self.process
        try:
            send(cast("BinaryIO", process.stdin), (function, argument))
            kind, value = receive(cast("BinaryIO", process.stdout))
        except (EOFError, OSError):
            code = self._close(process)
            self.process = None
            reason = f"signal {-code}, as when memory runs out" if code < 0 else f"exit code {code}"
            return Failure(DIED, f"its process ended by itself ({reason})")
        return value if kind == "result" else Failure(kind, value)

    def _start(self) -> subprocess.Popen[bytes]:
        count = str(self.threads)
        environment = dict(os.environ, OMP_NUM_THREADS=count, MKL_NUM_THREADS=count, OPENBLAS_NUM_THREADS=count)
        environment = KEPT_MEMORY | environment
        environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        command = [sys.executable, "-m", "equipoise.engines.worker"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)  # noqa: S603

    def stop(self) -> None:
        """End the process at once; a job it was in resumes from its last checkpoint another time."""
        self.stopped = True
        if self.process is not None:
            self.process.kill()
            self._close(self.process)

    def _close(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait for the process and close its pipes; its exit code."""
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                cast("BinaryIO", stream).close()
        return code
