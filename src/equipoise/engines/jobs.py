"""The jobs of a trial on an engine: what a died process or a full disk means for them."""

from collections.abc import Callable, Iterator
from typing import Any

from equipoise.engines import local, ranks
from equipoise.runfolder.job import Job

Engine = local.Workers | ranks.AllRanks


def workers_of(threads: int) -> Engine:
    """Jobs side by side on this machine; or one after another on all processes, where a launcher started several."""
    return local.Workers(threads) if ranks.count() == 1 else ranks.AllRanks(threads)


def run_jobs(workers: Engine, function: str, jobs: list[Job], tick: Callable[[], None]) -> Iterator[tuple[Job, Any]]:
    """(job, result) as jobs end; the result is a local.Failure where the call raised or its process died twice.

    A process that died (out of memory, a crash in a library) is given one more chance: jobs resume where they were.
    Raises OSError where a job could not write its files: that is no property of the arm.
    """
    again: list[Job] = []
    for chance in (jobs, again):
        for index, result in workers.run(function, chance, tick):
            if isinstance(result, local.Failure) and result.kind == "OSError":
                raise OSError(result.text)
            if isinstance(result, local.Failure) and result.kind == local.DIED and chance is jobs:
                again.append(chance[index])
            else:
                yield chance[index], result
