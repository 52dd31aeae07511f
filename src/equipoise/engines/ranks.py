"""Run a trial on the processes that `torchrun` started: the first leads it, and all train each job together.

    torchrun --nproc-per-node 2 -m equipoise run protocol.toml --out DIR

The other processes wait for calls. The first one alone does everything but training (preflight, predictions). If one
process failed on its own, the others would wait for its numbers for ever. Therefore all meet after every job, and a
process that has waited too long gives up, whereupon torchrun ends them all. The same command resumes.
"""

import importlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from equipoise.engines.local import Failure, next_ended
from equipoise.errors import EquipoiseError

TOGETHER = "equipoise.training.jobs:train"
"""The call that all processes answer together."""
_GROUPS: dict[str, Any] = {}
"""Process groups besides torch's default: "calls" carries the calls, "meeting" the meetings at the end of jobs."""
LONGEST_WAIT = timedelta(days=7)
"""Timeout of a call: between two jobs the first process may read, predict and judge for long."""
MEETING = timedelta(minutes=10)
"""How long a process waits for the others at the end of a job."""


def count() -> int:
    """Return the number of processes that a launcher started for this trial; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this process leads the trial and writes its output."""
    return count() == 1 or os.environ.get("RANK", "0") == "0"


@contextmanager
def joined() -> Iterator[None]:
    """Connect the processes inside the block; a single process needs no connection.

    Raises EquipoiseError where there are GPUs, but fewer than processes.
    """
    if count() == 1:
        yield
        return
    import torch
    from torch import distributed

    gpus, here = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", count()))
    if 0 < gpus < here:
        raise EquipoiseError(f"{here} processes were started on {gpus} GPUs; start one process for each GPU")
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=LONGEST_WAIT)
    # Its own group, because only gloo has a barrier that reports a timeout instead of hanging or aborting (NCCL).
    _GROUPS["meeting"] = distributed.new_group(backend="gloo")
    # Its own group, because the last call ends right before Python does, and a thread of gloo that frees a message
    # while Python shuts down aborts the process. Only the last reference to a group ends its threads, and torch's
    # data parallelism keeps one to the default group for good.
    _GROUPS["calls"] = distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)
    yield
    if leads():
        _tell(None)
    _GROUPS.clear()
    distributed.destroy_process_group()


def led(work: Callable[[], dict[str, Any]], results: Path) -> dict[str, Any]:
    """Run `work` on the first process and return its result; the others help, then read the same from its file."""
    with joined():
        if leads():
            return work()
        follow()
    results_read: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    return results_read


def follow() -> None:
    """Answer the first process' calls until there are no more."""
    # torchrun ends the others by SIGTERM when the first has refused; its error message is the only one needed.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    outcome = ""
    try:
        while (argument := _told()) is not None:
            result = _call(TOGETHER, argument)
            outcome = str(result.get("reason") if isinstance(result, dict) else result)
            _meet()
    except RuntimeError:  # the first process ended, or missed the meeting
        sys.stderr.write(
            f"equipoise: process {os.environ['RANK']} lost the first process (last result: {outcome})\n"
            if outcome
            else ""
        )
        os._exit(1)  # a normal exit may wait for the connection to the process that is gone


class AllRanks:
    """Alternative to `local.Workers`: sequential calls, with training by all processes."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._index: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def running(self) -> list[int]:
        """Return the index of the argument on which the call runs now, if one does."""
        return [] if self._index is None else [self._index]

    def end(self, _index: int, why: str) -> None:
        """Raise EquipoiseError: no process of a launcher can be ended alone."""
        raise EquipoiseError(f"{why}; all processes of torchrun stop, and the same command resumes")

    def run(self, function: str, arguments: Sequence[Any], tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        """Call the function named "module:function" on every argument; see `local.Workers.run`."""
        for index, argument in enumerate(arguments):
            together = function == TOGETHER
            if together:
                _tell(argument)
            self._index = index
            result = _watched(function, argument, tick)
            self._index = None
            full_disk = isinstance(result, Failure) and result.kind == "OSError"
            # After a full disk `run_jobs` ends the trial at once, without a meeting.
            if together and not full_disk:
                _meet_or_refuse()
            yield index, result


def _watched(function: str, argument: Any, tick: Callable[[], None]) -> Any:
    """Return the call's result, from a separate thread so that `tick` is called meanwhile."""
    ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    threading.Thread(target=lambda: ended.put((0, _call(function, argument))), daemon=True).start()
    return next_ended(ended, tick)[1]


def _call(function: str, argument: Any) -> Any:
    import torch

    if torch.cuda.is_available():
        # Here and not once at the start: the current device belongs to a thread, and each call has a new one.
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    module, _, name = function.partition(":")
    try:
        return getattr(importlib.import_module(module), name)(argument)
    except Exception as error:
        kind = "OSError" if isinstance(error, OSError) else type(error).__name__
        return Failure(kind, str(error) if isinstance(error, EquipoiseError) else f"{type(error).__name__}: {error}")


def _tell(argument: Any) -> None:
    """Send the argument of a call to every other process; None ends their waiting."""
    from torch import distributed

    distributed.broadcast_object_list([argument], src=0, group=_GROUPS["calls"])


def _told() -> Any:
    """Receive the argument of the next call from the first process."""
    from torch import distributed

    messages = [None]
    distributed.broadcast_object_list(messages, src=0, group=_GROUPS["calls"])
    return messages[0]


def _meet() -> None:
    """Wait until every process has arrived; RuntimeError after MEETING."""
    from torch import distributed

    distributed.monitored_barrier(_GROUPS["meeting"], timeout=MEETING)


def _meet_or_refuse() -> None:
    try:
        _meet()
    except RuntimeError as error:
        raise EquipoiseError(
            "another process of this trial failed, perhaps because its memory ran out; correct the cause, and run the "
            "same command again"
        ) from error
