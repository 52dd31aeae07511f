"""Pretrained weights from a local safetensors file: nothing is fetched, nothing is unpickled, nothing is guessed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from equipoise.errors import EquipoiseError


def load_pretrained(
    model: nn.Module, path: str | Path, *, rename: Mapping[str, str] | None = None, keep: Sequence[str] = ()
) -> list[str]:
    """Load the file's tensors into `model`, all or none, and return the names that were loaded.

    Args:
        model: the network to fill.
        path: a safetensors file.
        rename: prefixes of the file's names and what to put in their place, the longest match first; the encoders
            carry the published names, so {"features.": "encoder."} fits a file of torchvision's or timm's DenseNet,
            and {"": "encoder."} one of their ResNets to DeepLab's encoder.
        keep: prefixes of names to leave out: the model's tensors keep their fresh values (a new head, a decoder
            without published weights), the file's are not read.

    Raises:
        EquipoiseError: the file is missing or not safetensors, or tensors are missing, left over or of another
            shape; the message names them.
    """
    loaded = {_renamed(name, rename or {}): tensor for name, tensor in _read(Path(path)).items()}
    loaded = {name: tensor for name, tensor in loaded.items() if not name.startswith(tuple(keep))}
    # Counters of batches are state only where momentum is cumulative; published files often lack them.
    state = {n: t for n, t in model.state_dict().items() if not n.endswith("num_batches_tracked")}
    wanted = {name: tensor for name, tensor in state.items() if not name.startswith(tuple(keep))}
    loaded = {name: tensor for name, tensor in loaded.items() if not name.endswith("num_batches_tracked")}
    problems = _mismatches(wanted, loaded)
    if problems:
        raise EquipoiseError(
            f"{path} does not fit the model: {'; '.join(problems)}; choose the preset it was made for."
        )
    with torch.no_grad():
        for name, tensor in loaded.items():
            wanted[name].copy_(tensor)
    return sorted(loaded)


def _read(path: Path) -> dict[str, torch.Tensor]:
    """The file's tensors on the CPU, or a refusal."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise EquipoiseError(
            f"pretrained weights {path} cannot be read as safetensors ({error}); convert them beforehand."
        ) from error


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    """The name with its longest matching prefix replaced."""
    for prefix in sorted(rename, key=len, reverse=True):
        if name.startswith(prefix):
            return rename[prefix] + name[len(prefix) :]
    return name


def _mismatches(wanted: Mapping[str, torch.Tensor], loaded: Mapping[str, torch.Tensor]) -> list[str]:
    """What keeps the file from fitting: missing, left-over and misshapen tensors, each list cut to five names."""
    misshapen = [
        f"{name} is {tuple(loaded[name].shape)} in the file and {tuple(tensor.shape)} in the model"
        for name, tensor in wanted.items()
        if name in loaded and loaded[name].shape != tensor.shape
    ]
    problems = {
        "missing in the file": [name for name in wanted if name not in loaded],
        "not in the model": [name for name in loaded if name not in wanted],
        "of another shape": misshapen,
    }
    return [f"{what}: {_first(names)}" for what, names in problems.items() if names]


def _first(names: Sequence[str], most: int = 5) -> str:
    """At most five names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
