"""Build the model and optimizer of an arm from their names and settings in the protocol."""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from equipoise import models, optimizers
from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.executed_code import watch
from equipoise.lookup import imported, in_worker, module_hash, nearest, resolve, source_hash, source_of
from equipoise.models.adapter import in_order
from equipoise.models.ensemble import Ensemble
from equipoise.protocol import Named
from equipoise.runfolder.job import Job
from equipoise.training.loop.blame import own_names
from equipoise.training.loop.initial_weights import prepare_weights

FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.Adagrad)
"""Torch's optimizers with a fused step on every device."""


def _call(factory: Callable[..., Any], kind: str, named: Named, *fixed: Any, **given: Any) -> Any:
    """Call a factory, which may be user code; a setting that it does not know or refuses becomes one sentence."""
    parameters = inspect.signature(factory).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for key in named.settings:
        if key not in parameters and not open_ended:
            raise ProtocolError(f"{kind} {named.name!r} has no setting {key!r}; {nearest(key, parameters)}")
    try:
        return factory(*fixed, **given, **named.settings)
    except EquipoiseError:
        raise
    # These kinds alone: what a wrong setting raises. Any other error points to a defect of the model or optimizer.
    except (TypeError, ValueError, RuntimeError) as error:
        raise ProtocolError(f"{kind} {named.name!r} cannot be built: {error}; correct its settings") from error


def import_shared_code(job: Job) -> None:
    """Import the user's own modules that all arms share, of the task, the loss and the endpoints, before any is built.

    From then on a worker notes which files the job's own code executes.

    Raises ProtocolError where one cannot be imported.
    """
    if in_worker() and own_names(job):
        watch()
    # What such a module changes in torch then holds from the first job of a process on, for every arm alike; imported
    # where it is first used, it would meet the second job alone.
    for name, kind in ((job.task, "task"), (job.training.loss, "loss"), *((name, "endpoint") for name in job.own)):
        if ":" in name:
            imported(name, kind, job.code)


def build_model(job: Job) -> nn.Module:
    """Build the job's model, with weights from torch's current random stream or the arm's pretrained file."""
    if job.members:
        return Ensemble([build_model(member) for member in job.members], job.training.targets == "regions")
    factory = in_order(resolve(job.arm.model.name, models, "model", job.code))
    # Passed only to models that declare it, so that a user's model needs no parameter for it.
    wants_task = "task" in inspect.signature(factory).parameters and "task" not in job.arm.model.settings
    given: dict[str, Any] = {"task": job.task_record.network} if wants_task else {}
    if job.training.deep_supervision:
        given |= _supervised(factory, job)
    model = _call(factory, "model", job.arm.model, job.channels, job.outputs, job.spatial_dims, **given)
    if not isinstance(model, nn.Module):
        raise ProtocolError(
            f"model {job.arm.model.name!r} returned a {type(model).__name__}; it must return a torch.nn.Module"
        )
    prepare_weights(model, job.arm, job.code)
    return model


def _supervised(factory: Callable[..., Any], job: Job) -> dict[str, bool]:
    """Return the setting that makes a network train coarser maps as well, unless the arm states it itself."""
    named = job.arm.model
    if "deep_supervision" not in inspect.signature(factory).parameters:
        raise ProtocolError(
            f"training.deep_supervision needs a model with a setting of that name, and {named.name!r} has none; "
            "leave it out"
        )
    return {} if "deep_supervision" in named.settings else {"deep_supervision": True}


def build_optimizer(job: Job, model: nn.Module) -> Optimizer:
    """Build the job's optimizer over the model's trainable parameters."""
    return optimizer_over(job, [parameter for parameter in model.parameters() if parameter.requires_grad])


def optimizer_over(job: Job, parameters: list[nn.Parameter]) -> Optimizer:
    """Build the job's optimizer over these parameters."""
    factory = resolve(job.arm.optimizer.name, optimizers, "optimizer", job.code)
    chosen = {"foreach", "fused", "differentiable"} & set(job.arm.optimizer.settings)
    # One pass over memory instead of a loop over tensors: a third of the time for Adam on a CPU, by the same rule.
    given = {"fused": True} if factory in FUSED and not chosen else {}
    optimizer = _call(factory, "optimizer", job.arm.optimizer, parameters, **given)
    if not isinstance(optimizer, Optimizer):
        kind = type(optimizer).__name__
        raise ProtocolError(f"optimizer {job.arm.optimizer.name!r} returned a {kind}; it must return a torch optimizer")
    return optimizer


def defaults_of(job: Job) -> dict[str, dict[str, Any]]:
    """Return the plain default settings of a job's model and optimizer, as their signatures have them."""
    parts = (("model", job.arm.model, models), ("optimizer", job.arm.optimizer, optimizers))
    defaults: dict[str, dict[str, Any]] = {}
    for kind, named, package in parts:
        parameters = inspect.signature(resolve(named.name, package, kind, job.code)).parameters
        values = {name: one.default for name, one in parameters.items()}
        defaults[kind] = {name: value for name, value in values.items() if _is_plain(value)}
    return defaults


def _is_plain(value: Any) -> bool:
    """Return whether a value is one that a protocol can state, and JSON holds."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def parameter_count(model: nn.Module) -> int:
    """Count the numbers in the model's parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in model.parameters())


def code_hashes(jobs: Iterable[Job]) -> dict[str, str]:
    """Return the SHA-256 of the source file of every task, model and optimizer of the user's own, by name."""
    hashes = {}
    for job in jobs:
        if ":" in job.task:
            hashes[job.task] = module_hash(job.task)
        if job.members:
            hashes |= code_hashes(job.members)
            continue
        if job.arm.nnunet is not None:
            hashes |= _trainer_hash(job.arm.nnunet.trainer, job)
            continue
        for named, package, kind in ((job.arm.model, models, "model"), (job.arm.optimizer, optimizers, "optimizer")):
            digest = source_hash(named.name, resolve(named.name, package, kind, job.code))
            if digest is not None:
                hashes[named.name] = digest
    return dict(sorted(hashes.items()))


def _trainer_hash(trainer: str, job: Job) -> dict[str, str]:
    """Return the hash of a trainer of nnU-Net that is the user's own; nothing of it is run here."""
    file = source_of(trainer, job.code) if ":" in trainer else None
    if ":" in trainer and file is None:
        raise ProtocolError(f"trainer {trainer!r} cannot be found; put its module beside the protocol or install it")
    return {} if file is None else {trainer: hashlib.sha256(file.read_bytes()).hexdigest()}
