"""Make the job of an ensemble from the jobs of its members: their weights in one file, their costs in one sum."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from equipoise.errors import EquipoiseError, Interrupted
from equipoise.runfolder.evidence import sha256_of
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import HISTORY
from equipoise.runfolder.write import write_rows
from equipoise.runfolder.writer import Writer
from equipoise.training.data.samples import Samples
from equipoise.training.learner.distributed import Ranks
from equipoise.training.loop.arm import parameter_count
from equipoise.training.loop.cost import PeakMemory, latency_ms
from equipoise.training.loop.determinism import device, environment
from equipoise.training.loop.ending import ended
from equipoise.training.loop.train import build_learner
from equipoise.training.tasks import training_of

SUMS = ("train_seconds", "processor_seconds")


def assemble(job: Job) -> dict[str, Any]:
    """Make the ensemble of a job, validate it, and return the contents of done.json; see `loop.ending.ended`.

    An ensemble with a member that failed has failed too. Raises Interrupted where a member has not ended.
    """
    for member in job.members:
        if member.done() is None:
            raise Interrupted(f"{member.name} of the ensemble {job.name} has not ended; run the same command again")
    return ended(job, lambda ranks, writer: _assembled(job, ranks, writer))


def _assembled(job: Job, ranks: Ranks, writer: Writer | None) -> dict[str, Any]:
    costs = [_end_of(member) for member in job.members]
    weights = {
        f"members.{number}.{name}": value
        for number, member in enumerate(job.members)
        for name, value in _weights_of(member).items()
    }
    if writer is not None:
        writer.write(job.weights_file, lambda path: save_file(weights, path))
    validation = Samples.load(job.samples / "validation")
    with PeakMemory() as memory:
        learner = build_learner(job, device(), validation, ranks)
        learner.model.load_state_dict(weights)
        learner.model.eval()
        training = training_of(job)
        loss, value = training.validate(learner, validation, job)
        latency = latency_ms(lambda: training.answer_one(learner, validation, job))
    sums = {key: round(sum(float(cost.get(key) or 0.0) for cost in costs), 3) for key in SUMS}
    row = {"epoch": 1, "validation_loss": loss, f"validation_{job.primary}": value, "seconds": sums["train_seconds"]}
    if writer is not None:
        write_rows(job.folder / HISTORY, [row], writer.write)
    peaks = [memory.peak_mb, *(float(cost.get("peak_memory_mb") or 0.0) for cost in costs)]
    return {
        "members": {member.name: sha256_of(member.weights_file) for member in job.members},
        "chosen_epoch": 1,
        "stopped_epoch": None,
        "parameters": parameter_count(learner.model),
        **sums,
        "latency_ms": round(latency, 3),
        "peak_memory_mb": round(max(peaks), 1),
        "environment": environment(job.training.threads),
        "warnings": [],
    }


def _end_of(member: Job) -> dict[str, Any]:
    """Return how a member ended. Raises EquipoiseError for one that failed, or whose record is of another job."""
    done = member.done() or {}
    if done.get("status") != "finished":
        raise EquipoiseError(f"its member {member.name} failed: {done.get('reason')}")
    if (done.get("arm"), done.get("fold"), done.get("seed")) != (member.arm.name, member.fold, member.seed):
        raise EquipoiseError(f"the record in the folder of {member.name} belongs to another job; use a new run folder")
    return done


def _weights_of(member: Job) -> dict[str, Tensor]:
    file: Path = member.weights_file
    if not file.is_file():
        raise EquipoiseError(f"the weights of its member {member.name} are missing; use a new run folder")
    return load_file(file)
