"""A trial on the processes that `torchrun` started: the first runs it, and trains each job together with all others.

    torchrun --nproc-per-node 2 -m equipoise run protocol.toml --out DIR

The others wait for calls. Everything but training (trying the arms, predicting) is the first one's alone. If one
process fails by itself, the rest would wait for its numbers for ever; so all meet after every job, and who has waited
too long there gives up, whereupon torchrun ends them all. The same command resumes.
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

TOGETHER = "equipoise.training.loop.train:train"
"""The call that all processes answer together."""
_GROUPS: dict[str, Any] = {}
"""Connections beside torch's own; "meeting" is for the meetings at the end of jobs."""
LONGEST_WAIT = timedelta(days=7)
"""Between two jobs the first process may read, predict and judge for long."""
MEETING = timedelta(minutes=10)
"""How long a process waits for the others at the end of a job."""


def count() -> int:
    """How many processes a launcher started for this trial; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this process runs the trial and says what is to be said."""
    return count() == 1 or os.environ.get("RANK", "0") == "0"


@contextmanager
def joined() -> Iterator[None]:
    """The processes connected inside the block; nothing happens where there is one alone.

    Raises EquipoiseError where there are GPUs, but fewer than processes.
    """
    if count() == 1:
        yield
        return
    import torch
    from torch import distributed

    gpus, here = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", count()))
    if 0 < gpus < here:
        raise EquipoiseError(f"{here} processes were started on {gpus} GPUs; start one for each GPU")
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=LONGEST_WAIT)
    _GROUPS["meeting"] = distributed.new_group(backend="gloo")
    yield
    if leads():
        _tell(None)
    distributed.destroy_process_group()


def led(work: Callable[[], dict[str, Any]], results: Path) -> dict[str, Any]:
    """What the first process' work returns; the others help it, and read the same from the file that it leaves."""
    with joined():
        if leads():
            return work()
        follow()
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    return found


def follow() -> None:
    """Answer the first process' calls until it has no more."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # when the first process has refused, there is nothing to tell
    said = ""
    try:
        while (argument := _told()) is not None:
            result = _call(TOGETHER, argument)
            said = str(result.get("reason") if isinstance(result, dict) else result)
            _meet()
    except RuntimeError:  # the first process has gone, or has not come to the meeting
        sys.stderr.write(f"equipoise: process {os.environ['RANK']} was left alone (last: {said})\n" if said else "")
        os._exit(1)


class AllRanks:
    """In place of `local.Workers`: calls one after another, training by all processes."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def run(self, function: str, arguments: Sequence[Any], tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        """Call the function named "module:function" on every argument; see `local.Workers.run`."""
        for index, argument in enumerate(arguments):
            together = function == TOGETHER
            if together:
                _tell(argument)
            result = _watched(function, argument, tick)
            full_disk = isinstance(result, Failure) and result.kind == "OSError"
            if together and not full_disk:  # a full disk ends the trial; the others would not come
                _meet_or_refuse()
            yield index, result


def _watched(function: str, argument: Any, tick: Callable[[], None]) -> Any:
    """The call's result, from a thread of its own so that `tick` is called meanwhile."""
    ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    threading.Thread(target=lambda: ended.put((0, _call(function, argument))), daemon=True).start()
    return next_ended(ended, tick)[1]


def _call(function: str, argument: Any) -> Any:
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # holds for one thread
    module, _, name = function.partition(":")
    try:
        return getattr(importlib.import_module(module), name)(argument)
    except Exception as error:
        kind = "OSError" if isinstance(error, OSError) else type(error).__name__
        return Failure(kind, str(error) if isinstance(error, EquipoiseError) else f"{type(error).__name__}: {error}")


def _tell(argument: Any) -> None:
    """Give every other process the argument of a call; None says that there are no more."""
    from torch import distributed

    distributed.broadcast_object_list([argument], src=0)


def _told() -> Any:
    from torch import distributed

    told = [None]
    distributed.broadcast_object_list(told, src=0)
    return told[0]


def _meet() -> None:
    """Wait until every process is here; RuntimeError after too long."""
    from torch import distributed

    distributed.monitored_barrier(_GROUPS["meeting"], timeout=MEETING)


def _meet_or_refuse() -> None:
    try:
        _meet()
    except RuntimeError as error:
        raise EquipoiseError(
            "another process of this trial failed by itself, as when its memory runs out; mend that, and run the same "
            "command again"
        ) from error
