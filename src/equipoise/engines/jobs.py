"""Run the jobs of a trial on an engine, and handle killed processes and full disks."""

from collections.abc import Callable, Iterator
from typing import Any

from equipoise.engines import local, ranks
from equipoise.runfolder.job import Job

Engine = local.Workers | ranks.AllRanks
OUT_OF_MEMORY = "MemoryError"
_RETRIED = (local.DIED, local.KILLED, OUT_OF_MEMORY)


def workers_of(threads: int) -> Engine:
    """Choose the engine: parallel jobs on this machine, or sequential jobs on all processes that a launcher started."""
    return local.Workers(threads) if ranks.count() == 1 else ranks.AllRanks(threads)


def run_jobs(workers: Engine, function: str, jobs: list[Job], tick: Callable[[], None]) -> Iterator[tuple[Job, Any]]:
    """Yield (job, result) as jobs end; the result is a local.Failure where the call raised or its process died twice.

    A job whose process died (out of memory, a crash in a library), or whose memory ran out, is run once more and
    resumes from its checkpoint; `interrupted` tells whether the second end counts against the arm.
    Raises OSError where a job could not write its files, because that is no property of the arm.
    """
    # The second chance comes after all other jobs: memory that they shared is free by then.
    again: list[Job] = []
    for chance in (jobs, again):
        for index, result in workers.run(function, chance, tick):
            job = chance[index]
            if isinstance(result, local.Failure) and result.kind == "OSError":
                raise OSError(result.text)
            if isinstance(result, local.Failure) and result.kind in _RETRIED and chance is jobs:
                again.append(job)
            elif isinstance(result, local.Failure) and result.kind in _RETRIED:
                yield job, local.Failure(result.kind, f"arm {job.arm.name!r}: {result.text} in job {job.name}")
            else:
                yield job, result


def interrupted(result: Any) -> bool:
    """Whether a job ended by what the machine lacks (memory, time), which says nothing about its arm."""
    return isinstance(result, local.Failure) and result.kind in (local.KILLED, OUT_OF_MEMORY)
