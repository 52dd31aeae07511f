"""An arm as the protocol names it → a model and an optimizer."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from equipoise import models, optimizers
from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.lookup import module_hash, nearest, resolve, source_hash
from equipoise.models.adapter import in_order
from equipoise.protocol import Named
from equipoise.runfolder.job import Job
from equipoise.training.loop.initial_weights import prepare_weights

FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.Adagrad)
"""Optimizers of torch with a fused step on every device."""


def _call(factory: Callable[..., Any], kind: str, named: Named, *fixed: Any, **given: Any) -> Any:
    """Call user code; a setting it does not know, or refuses, becomes one sentence."""
    parameters = inspect.signature(factory).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for key in named.settings:
        if key not in parameters and not open_ended:
            raise ProtocolError(f"{kind} {named.name!r} has no setting {key!r}; {nearest(key, parameters)}")
    try:
        return factory(*fixed, **given, **named.settings)
    except EquipoiseError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise ProtocolError(f"{kind} {named.name!r} cannot be built: {error}; mend its settings") from error


def build_model(job: Job) -> nn.Module:
    """The job's model, its weights fresh from torch's current stream or those that the arm starts from."""
    factory = in_order(resolve(job.arm.model.name, models, "model", job.code))
    wants_task = "task" in inspect.signature(factory).parameters and "task" not in job.arm.model.settings
    given = {"task": job.task_record.network} if wants_task else {}
    model = _call(factory, "model", job.arm.model, job.channels, job.outputs, job.spatial_dims, **given)
    if not isinstance(model, nn.Module):
        raise ProtocolError(
            f"model {job.arm.model.name!r} made a {type(model).__name__}; it must make a torch.nn.Module"
        )
    prepare_weights(model, job.arm, job.code)
    return model


def build_optimizer(job: Job, model: nn.Module) -> Optimizer:
    """The job's optimizer over the model's trainable parameters."""
    factory = resolve(job.arm.optimizer.name, optimizers, "optimizer", job.code)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    chosen = {"foreach", "fused", "differentiable"} & set(job.arm.optimizer.settings)
    # one pass over memory in place of a loop over tensors: a third of the time for Adam on a CPU, the same rule
    given = {"fused": True} if factory in FUSED and not chosen else {}
    optimizer = _call(factory, "optimizer", job.arm.optimizer, trainable, **given)
    if not isinstance(optimizer, Optimizer):
        found = type(optimizer).__name__
        raise ProtocolError(f"optimizer {job.arm.optimizer.name!r} made a {found}; it must make a torch optimizer")
    return optimizer


def parameter_count(model: nn.Module) -> int:
    """How many numbers the model consists of, frozen ones too."""
    return sum(parameter.numel() for parameter in model.parameters())


def code_hashes(jobs: Iterable[Job]) -> dict[str, str]:
    """SHA-256 of the source file of every task, model and optimizer that is the user's own, by its name."""
    found = {}
    for job in jobs:
        if ":" in job.task:
            found[job.task] = module_hash(job.task)
        for named, package, kind in ((job.arm.model, models, "model"), (job.arm.optimizer, optimizers, "optimizer")):
            digest = source_hash(named.name, resolve(named.name, package, kind, job.code))
            if digest is not None:
                found[named.name] = digest
    return dict(sorted(found.items()))
