"""Whose code a worker process has run: what an arm's own code changes in it must never meet another arm.

A module may change torch for its whole process, in good faith too: a default of initialisation, a thread count, a
method of a layer. A process that has run code of an arm's own therefore serves that arm alone, and its rivals get
another one; arms of built-in parts share processes, because starting one takes seconds.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from equipoise.runfolder.job import Job

SHARED = ""
"""The tenant of calls that run nothing but this package: any process that only such calls have used serves them."""
_BUILT_IN = ("equipoise.models:", "equipoise.optimizers:")


def tenant_of(argument: Any) -> str:
    """Return for whom a call with this argument needs a process: the arms of its jobs, or SHARED without own code.

    A call with several arms, as an ensemble of them, has a tenant that is none of these arms.
    """
    jobs = [one for job in _jobs_in(argument) for one in (job, *job.members)]
    if not any(_brings_code(job) for job in jobs):
        return SHARED
    return " ".join(sorted({job.arm.name for job in jobs}))  # no name of an arm has a space


def _jobs_in(argument: Any) -> Iterator[Job]:
    """Yield the jobs in an argument, which is one or holds some: in tuples, lists and the values of dictionaries."""
    if isinstance(argument, Job):
        yield argument
    elif isinstance(argument, Mapping):
        for value in argument.values():
            yield from _jobs_in(value)
    elif isinstance(argument, tuple | list):
        for value in argument:
            yield from _jobs_in(value)


def _brings_code(job: Job) -> bool:
    """Whether the arm runs code that is not ours: of its user, of another package through an adapter, of nnU-Net."""
    names = (job.arm.model.name, job.arm.optimizer.name)
    return job.arm.nnunet is not None or any(":" in name and not name.startswith(_BUILT_IN) for name in names)


class Waiting:
    """The calls that no process has taken yet, (index, argument); taken by several threads."""

    def __init__(self, arguments: Sequence[Any]) -> None:
        self._calls = [(index, argument, tenant_of(argument)) for index, argument in enumerate(arguments)]
        self._lock = threading.Lock()

    def take(self, tenant: str) -> tuple[int, Any, str] | None:
        """Return the first call of this tenant, else the first of all, with its tenant; None where none is left."""
        # A process changes hands seldom so: each change starts Python and torch anew.
        with self._lock:
            place = next((place for place, call in enumerate(self._calls) if call[2] == tenant), 0)
            return self._calls.pop(place) if self._calls else None
