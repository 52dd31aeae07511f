"""Run the jobs of a trial on an engine, and handle killed processes and full disks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from equipoise.engines import local, ranks
from equipoise.engines.execution import LOCAL, Execution
from equipoise.errors import EquipoiseError, Interrupted, LedgerError, Superseded
from equipoise.runfolder.job import Job

OUT_OF_MEMORY = "MemoryError"
_RETRIED = (local.DIED, local.KILLED, OUT_OF_MEMORY)


class Engine(Protocol):
    """Where calls run: processes of this machine, of a launcher, or of a cluster."""

    threads: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(self, function: str, arguments: Sequence[Any], tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        """Call the function named "module:function" on every argument; yields (index, result) as calls end.

        A call that raises, or whose process dies, yields a Failure. `tick` is called about once a second meanwhile.
        """

    def running(self) -> list[int]:
        """Return the indices of the arguments on which calls run now."""

    def end(self, index: int, why: str) -> None:
        """End the process of a call that runs; the call yields a Failure, "killed", with this reason."""


def workers_of(threads: int, how: Execution = LOCAL) -> Engine:
    """Choose the engine: parallel jobs on this machine, a cluster, or jobs on all processes that a launcher started.

    Raises EquipoiseError for what the engine cannot do, or where it cannot be had.
    """
    if ranks.count() > 1:
        if how.engine != "local" or how.stall_minutes is not None:
            raise EquipoiseError(
                "under torchrun all processes train each job together, so --engine and --stall-minutes cannot be "
                "used; leave them out, or start the command without torchrun"
            )
        return ranks.AllRanks(threads)
    if how.engine == "ray":
        from equipoise.engines import ray_cluster  # here, because `local` must not load Ray

        return ray_cluster.RayCluster(threads, how.address, alike=how.alike)
    return local.Workers(threads)


def run_jobs(
    workers: Engine, function: str, jobs: list[Job], look: Callable[[Sequence[Job]], Mapping[str, str]]
) -> Iterator[tuple[Job, Any]]:
    """Yield (job, result) as jobs end; the result is a local.Failure where the call raised or its process died twice.

    look: called about once a second with the jobs that run; returns those whose worker is to be ended, by name, and
    why. They count as killed.

    A job whose process died (out of memory, a crash in a library), or whose memory ran out, is run once more and
    resumes from its checkpoint; `interrupted` tells whether the second end counts against the arm.
    Raises OSError where a job could not write its files, Superseded where another run trains it now, and LedgerError
    where its record or its code is not the locked one, because none of these is a property of the arm.
    """
    # The second chance comes after all other jobs: memory that they shared is free by then.
    again: list[Job] = []
    for chance in (jobs, again):
        for index, result in workers.run(function, chance, partial(_looked, workers, chance, look)):
            job = chance[index]
            if isinstance(result, local.Failure) and result.kind == "OSError":
                raise OSError(result.text)
            if isinstance(result, local.Failure) and result.kind == LedgerError.__name__:
                raise LedgerError(result.text)
            if isinstance(result, local.Failure) and result.kind == Superseded.__name__:
                raise Superseded(result.text)
            if isinstance(result, local.Failure) and result.kind in _RETRIED and chance is jobs:
                again.append(job)
            elif isinstance(result, local.Failure) and result.kind in _RETRIED:
                yield job, local.Failure(result.kind, f"arm {job.arm.name!r}: {result.text} in job {job.name}")
            else:
                yield job, result


def _looked(workers: Engine, jobs: list[Job], look: Callable[[Sequence[Job]], Mapping[str, str]]) -> None:
    """Look at the jobs that run, and end the workers of those that are to be ended."""
    running = {index: jobs[index] for index in workers.running()}
    ending = look(list(running.values()))
    for index, job in running.items():
        if job.name in ending:
            workers.end(index, ending[job.name])


def interrupted(result: Any) -> bool:
    """Whether a job ended by what the machine lacks (memory, time), or waits for: nothing of it is about its arm."""
    return isinstance(result, local.Failure) and result.kind in (local.KILLED, OUT_OF_MEMORY, Interrupted.__name__)
