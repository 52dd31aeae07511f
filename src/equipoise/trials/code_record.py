"""The user's own modules in the record of a trial: all that the code of its protocol loads, hashed before training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from equipoise.errors import LedgerError
from equipoise.own_modules import changed_module, file_of, hashes_of, modules_behind
from equipoise.protocol import Protocol
from equipoise.protocol.named_code import code_named
from equipoise.runfolder.job import LATE_MODULES, Job
from equipoise.runfolder.own_code import MODULES
from equipoise.trials.plan import Trial


def with_own_modules(protocol: Protocol, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a plan with the hashes of all modules of the user's own; without the key where none is.

    record: facts of the plan, with the modules that trying the arms has loaded.
    """
    modules = modules_hashed(protocol) | dict(record.get(MODULES) or {})
    others = {key: value for key, value in record.items() if key != MODULES}
    return others | ({MODULES: dict(sorted(modules.items()))} if modules else {})


def modules_hashed(protocol: Protocol) -> dict[str, str]:
    """Return the SHA-256 of the modules of the user's own behind all names of a protocol; runs none of them."""
    names = [name for _, name in code_named(protocol.model_dump(mode="json"))]
    return hashes_of(modules_behind(names, protocol.folder))


def with_locked_modules(trial: Trial, lock: Mapping[str, Any]) -> Trial:
    """Return the trial whose jobs know the hashes of the user's own modules, and compare them."""
    modules = lock.get(MODULES)
    return replace(
        trial,
        jobs=[_knowing(job, modules) for job in trial.jobs],
        draws=[_knowing(job, modules) for job in trial.draws],
    )


def _knowing(job: Job, modules: Mapping[str, str] | None) -> Job:
    return replace(job, modules=modules, members=tuple(_knowing(member, modules) for member in job.members))


def refuse_late_modules(jobs: Sequence[Job]) -> None:
    """Raise LedgerError where a module that no lock names has changed since a job loaded it.

    Each job records what it loaded beyond the lock: by other means than import statements, so that no plan could know.
    """
    for job in jobs:
        late = (job.done() or {}).get(LATE_MODULES)
        for name, digest in (late if isinstance(late, Mapping) else {}).items():
            file = file_of(name, job.code)
            if file is None or hashes_of({name: file}).get(name) != digest:
                raise LedgerError(changed_module(name, file, f"job {job.name} was trained"))
