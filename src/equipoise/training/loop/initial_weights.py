"""Initialise an arm's weights, and freeze those that are not trained."""

import hashlib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from torch import nn

from equipoise.errors import ProtocolError
from equipoise.lookup import nearest
from equipoise.models.pretrained import load_pretrained
from equipoise.protocol import Arm
from equipoise.runfolder.job import Job


def prepare_weights(model: nn.Module, arm: Arm, folder: Path) -> None:
    """Load the arm's pretrained weights (paths are relative to `folder`) and freeze the parameters that it names.

    Raises EquipoiseError for a file that does not fit, ProtocolError for a pattern without a parameter.
    """
    if arm.pretrained is not None:
        load_pretrained(model, _file(arm, folder), rename=arm.pretrained.rename, keep=arm.pretrained.keep)
    freeze(model, arm.freeze)


def _file(arm: Arm, folder: Path) -> Path:
    return folder / Path(arm.pretrained.file if arm.pretrained else "").expanduser()


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Exempt from training every parameter whose name matches a pattern such as `encoder.*`."""
    parameters = dict(model.named_parameters())
    for pattern in patterns:
        matching = [name for name in parameters if fnmatchcase(name, pattern)]
        if not matching:
            parts = dict.fromkeys(name.partition(".")[0] + ".*" for name in parameters)
            raise ProtocolError(
                f"freeze names {pattern!r}, which no parameter of the model matches; {nearest(pattern, parts)}"
            )
        # Without a gradient, and not left out of the optimizer alone: backpropagation then skips the frozen part.
        for name in matching:
            parameters[name].requires_grad_(False)
    if patterns and not any(parameter.requires_grad for parameter in parameters.values()):
        raise ProtocolError(f"freeze = {list(patterns)} leaves nothing to train; leave out the head's parameters")


def frozen_norm_layers(model: nn.Module) -> tuple[nn.Module, ...]:
    """Return batch-normalisation layers whose weights are all frozen; their statistics must stay fixed as well."""
    norms = (module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    return tuple(norm for norm in norms if [*norm.parameters()] and not any(p.requires_grad for p in norm.parameters()))


def pretrained_hashes(jobs: Iterable[Job]) -> dict[str, str]:
    """Return the SHA-256 of the weights file of every arm that has one, by the arm's name."""
    arms = {job.arm.name: (job.arm, job.code) for job in jobs if job.arm.pretrained is not None}
    return {name: hashlib.sha256(_file(arm, code).read_bytes()).hexdigest() for name, (arm, code) in arms.items()}
