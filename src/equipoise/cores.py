"""How many cores this process may use, and the same call on many arguments by so many threads."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
MOST_THREADS = 8
THREADS = "equipoise-side-by-side"
"""How the names of these threads begin; a number follows."""
_AHEAD = 4
"""Arguments of each thread that wait their turn, so that results not yet taken do not fill the memory."""


def available_cores() -> int:
    """Return the number of cores this process may use; the environment variable EQUIPOISE_CORES overrides it."""
    if os.environ.get("EQUIPOISE_CORES", "").isdigit():
        return max(1, int(os.environ["EQUIPOISE_CORES"]))
    # cpu_count would count the whole machine, also where a scheduler or container gave this process a few of its cores.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_by_side(call: Callable[[Given], Made], values: Iterable[Given]) -> Iterator[Made]:
    """Yield the results of a call on every value, in their order, made by as many threads as there are cores.

    For calls that leave the interpreter most of their time: reading files, Fourier transforms, searches of trees.
    What a call raises is raised here, in its turn; calls that were not begun are then dropped.

    >>> list(side_by_side(abs, [-1, 2]))
    [1, 2]
    """
    threads = min(MOST_THREADS, available_cores())
    if threads == 1:
        yield from map(call, values)
        return
    rest = iter(values)
    pool = ThreadPoolExecutor(threads, thread_name_prefix=THREADS)
    try:
        waiting = [pool.submit(call, value) for value in islice(rest, threads * _AHEAD)]
        while waiting:
            result = waiting.pop(0).result()
            waiting += [pool.submit(call, value) for value in islice(rest, 1)]
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
