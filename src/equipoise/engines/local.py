"""Run jobs in parallel on this machine, one process each; results do not depend on the number of processes."""

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from equipoise.child_process import PYTHON, import_environment
from equipoise.cores import available_cores
from equipoise.engines.tenants import SHARED, Waiting, tenant_of
from equipoise.engines.worker import receive, send
from equipoise.runfolder.cards import PER_CARD, WORKER, cards

DIED, KILLED = "died", "killed"
_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2")
"""Signals that a crash never sends: of the system out of memory, of a scheduler at its time limit, of a person."""
_CRASHES = {
    "SIGSEGV": "segmentation fault in a native library",
    "SIGBUS": "bus error in a native library",
    "SIGILL": "illegal instruction in a native library",
    "SIGFPE": "arithmetic error in a native library",
    "SIGABRT": "abort in a native library",
}
TICK_SECONDS = 1.0


@dataclass(frozen=True)
class Failure:
    """The outcome of a call without a result.

    kind: an exception's name; "killed" where a signal from outside ended the process, "died" where it ended by itself.
    """

    # A value and not an exception, because a failed arm becomes a row of the results and must not end the trial.

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


def ended_by(code: int) -> Failure:
    """Describe the end of a worker process by its exit code, which is minus the signal that ended it.

    >>> str(ended_by(-11))
    'the worker crashed (segmentation fault in a native library)'
    """
    if code >= 0:
        return Failure(DIED, f"the worker exited unexpectedly (exit code {code})")
    name = next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
    if name in _FROM_OUTSIDE:
        why = ", perhaps because memory ran out" if name == "SIGKILL" else ", perhaps at a scheduler's time limit"
        return Failure(KILLED, f"the worker was killed ({name}{why})")
    return Failure(DIED, f"the worker crashed ({_CRASHES.get(name, name)})")


def side_by_side(threads: int) -> int:
    """Return the number of jobs of so many threads that run at once: by cores, and by cards where there are any."""
    by_cores, there = max(1, available_cores() // threads), cards()
    # Whoever states the cores states how many jobs, too.
    if not there or os.environ.get("EQUIPOISE_CORES", "").isdigit():
        return by_cores
    return min(by_cores, PER_CARD * there)


def at_full_speed(threads: int) -> int:
    """Return by how many jobs at once the time of a trial is divided: those of one card share its speed."""
    return min(side_by_side(threads), cards() or side_by_side(threads))


class Workers:
    """Worker processes, started when first needed and kept until the `with` block ends.

    threads: CPU threads of one call; the number of parallel calls is `side_by_side`. Workers take the cards in turn.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._workers = [SingleWorker(threads, number) for number in range(side_by_side(threads))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.stop()

    def running(self) -> list[int]:
        """Return the indices of the arguments on which calls run now."""
        return sorted(index for worker in self._workers if (index := worker.index) is not None)

    def end(self, index: int, why: str) -> None:
        """End the process of a call that runs; the call yields a Failure, "killed", with this reason."""
        for worker in self._workers:
            worker.end(index, why)

    def run(self, function: str, arguments: Sequence[Any], tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        """Call the function named "module:function" on every argument; yields (index, result) as calls end.

        A call that raises, or whose process dies, yields a Failure. `tick` is called about once a second meanwhile.
        """
        # The function is a name, which the workers alone import: this process then need not load torch.
        waiting = Waiting(arguments)
        ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        for worker in self._workers[: len(arguments)]:
            threading.Thread(target=worker.serve, args=(function, waiting, ended), daemon=True).start()
        for _ in arguments:
            yield next_ended(ended, tick)


def next_ended(ended: "queue.SimpleQueue[tuple[int, Any]]", tick: Callable[[], None]) -> tuple[int, Any]:
    """Wait for the next call that ends; `tick` is called about once a second meanwhile."""
    while True:
        tick()
        try:
            return ended.get(timeout=TICK_SECONDS)
        except queue.Empty:
            continue


KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""For glibc: the process keeps freed memory, which it would otherwise request page by page at every training step."""


class SingleWorker:
    """One worker process, started when first needed; a process that died is replaced. number: among its equals.

    A process that has run an arm's own code ends before a call of another tenant, which gets a fresh one; see
    `engines.tenants`.
    """

    def __init__(self, threads: int, number: int = 0) -> None:
        self.threads = threads
        self.number = number
        self.stopped = False
        self.index: int | None = None
        self._why: str | None = None
        self._changing = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.tenant = SHARED

    def serve(self, function: str, waiting: Waiting, ended: "queue.SimpleQueue[Any]") -> None:
        """Pass waiting calls to the process until none is left; replace a process that died."""
        while not self.stopped:
            call = waiting.take(self.tenant)
            if call is None:
                return
            index, argument, tenant = call
            ended.put((index, self._answer(index, function, argument, tenant)))

    def _answer(self, index: int, function: str, argument: Any, tenant: str) -> Any:
        """Return the result of one call, or a Failure: an exception here would end the thread, and nobody be told."""
        try:
            process = self._process_for(tenant)
            self.index = index  # now, because a process that has not started cannot be ended
            return self._call(process, function, argument)
        except OSError as error:
            # Too many processes or too little memory: the machine lacks it, which says nothing about the arm.
            return Failure(KILLED, f"no worker process could be started ({error})")
        except Exception as error:  # an argument that cannot be sent
            return Failure(type(error).__name__, f"{type(error).__name__}: {error}")
        finally:
            with self._changing:
                self.index = None

    def end(self, index: int, why: str) -> None:
        """Kill the process, where it still answers this call."""
        # Under a lock, so that the process of the next call is not taken for this one's.
        with self._changing:
            if self.index == index and self.process is not None:
                self._why = why
                self.process.kill()

    def call(self, function: str, argument: Any) -> Any:
        """Call the function named "module:function" in the process; a Failure where it raises or its process dies."""
        return self._call(self._process_for(tenant_of(argument)), function, argument)

    def _process_for(self, tenant: str) -> "subprocess.Popen[bytes]":
        """Return the process for a tenant: this one, or a fresh one where another tenant has run code in this one."""
        if self.process is not None and self.tenant not in (SHARED, tenant):
            process, self.process = self.process, None
            process.kill()
            self._close(process)
        if self.process is None:
            self.process = self._start()
        self.tenant = tenant
        return self.process

    def _call(self, process: "subprocess.Popen[bytes]", function: str, argument: Any) -> Any:
        try:
            send(cast("BinaryIO", process.stdin), (function, argument))
            kind, value = receive(cast("BinaryIO", process.stdout))
        except (EOFError, OSError):
            code, why = self._close(process), self._why
            self.process = self._why = None
            return ended_by(code) if why is None else Failure(KILLED, why)
        return value if kind == "result" else Failure(kind, value)

    def _start(self) -> subprocess.Popen[bytes]:
        # The libraries read their thread counts once, when they are loaded, so they are set before the process starts.
        # Without them every worker would use all cores, and the workers together many times as many threads.
        count = str(self.threads)
        environment = dict(os.environ, OMP_NUM_THREADS=count, MKL_NUM_THREADS=count, OPENBLAS_NUM_THREADS=count)
        environment = KEPT_MEMORY | environment | {WORKER: str(self.number)}
        # The parent's path, so that a user's module beside the protocol is found.
        environment |= import_environment()
        command = [*PYTHON, "-m", "equipoise.engines.worker"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)  # noqa: S603

    def stop(self) -> None:
        """End the process at once; its job resumes from its last checkpoint in the next run."""
        # Killed and not asked to end: jobs are safe against a kill at any time, and a call into a library cannot be
        # interrupted otherwise.
        self.stopped = True
        if self.process is not None:
            self.process.kill()
            self._close(self.process)

    def _close(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait for the process and close its pipes; return its exit code."""
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                cast("BinaryIO", stream).close()
        return code
