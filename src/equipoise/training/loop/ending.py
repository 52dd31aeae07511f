"""How every job ends, whoever trains it: done.json says finished or failed, unless the machine is to blame."""

import warnings
from collections.abc import Callable
from typing import Any

from equipoise.errors import LedgerError, Superseded
from equipoise.own_modules import late_hashes, refuse_changed_modules
from equipoise.runfolder.job import LATE_MODULES, Job
from equipoise.runfolder.ledger import FAILED, FINISHED
from equipoise.runfolder.trained_seeds import register_validated
from equipoise.runfolder.training_registry import register_weights
from equipoise.runfolder.validated_epochs import EpochLog
from equipoise.runfolder.writer import Writer
from equipoise.training.learner.distributed import Ranks
from equipoise.training.loop.batch_independence import BatchDependenceError
from equipoise.training.loop.blame import of_the_arm, out_of_memory
from equipoise.training.loop.determinism import reproducible
from equipoise.training.loop.written_errors import in_writing, warnings_in_writing


class DivergedError(Exception):
    """The job's optimization left the range of finite or useful numbers; the text says where."""


def refuse_changed_code(job: Job) -> None:
    """Raise LedgerError where a module of the user's own is not the one that was locked."""
    try:
        refuse_changed_modules(job.modules or {}, job.code, "the plan was locked")
    except LedgerError as error:
        raise LedgerError(f"job {job.name} was not trained: {error}") from error


def ended(job: Job, run: Callable[[Ranks, Writer | None], dict[str, Any]]) -> dict[str, Any]:
    """Run a job to its end, unless it has ended, and return the contents of done.json.

    run: trains; returns costs and the chosen epoch, with `warnings`. A failure of the arm (divergence, an exception of
    its model) is returned and written like any other end. OSError and MemoryError are raised, because a full disk or
    memory is not a property of the arm, and Superseded where another process has begun to train the job: this one then
    writes nothing more. LedgerError where the user's own code is not the locked one, before and after, or where a
    checkpoint belongs to another run.
    """
    done = job.done()
    if done is not None:
        return done
    refuse_changed_code(job)
    ranks = Ranks.here()
    # Before anything of the job is read: from here on no earlier writer can change it.
    writer = Writer.begin(job.folder) if ranks.leads else None
    try:
        with reproducible(job.training.threads), warnings.catch_warnings(record=True) as caught:
            # Otherwise a warning that an earlier job of this process raised would be missing from this job's record.
            warnings.simplefilter("always")
            end = run(ranks, writer)
        texts = warnings_in_writing([one for one in caught if one.category is UserWarning], job)
        end["warnings"] = sorted({*texts, *end["warnings"]})
    except (Superseded, LedgerError):
        raise
    except (DivergedError, BatchDependenceError) as error:
        end = {"status": "failed", "reason": in_writing(error, job, plain=True)}
    except Exception as error:
        if out_of_memory(error):
            raise MemoryError(str(error).split("\n")[0] or "out of memory") from error
        if isinstance(error, OSError) and not of_the_arm(error, job):
            raise
        end = {"status": "failed", "reason": in_writing(error, job)}
    # Again, because a module may have been edited between the first look and its import.
    refuse_changed_code(job)
    late = {} if job.modules is None else late_hashes(job.modules, job.code)
    end |= {LATE_MODULES: late} if late else {}
    if writer is not None and not job.members:
        EpochLog(job, job.run_hash()).remember_end(str(end.get("status", FINISHED)))
    if writer is not None and end.get("status") != FAILED and job.weights_file.is_file():
        # Before done.json: whoever ends the trial now has weights that later trials recognise.
        register_weights(job)
        if job.arm.nnunet is not None:
            register_validated(job)  # a network of ours was registered after its first epoch
    return end if writer is None else job.write_end(writer, **end, processes=ranks.count)
