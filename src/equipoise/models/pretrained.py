"""Load pretrained weights from a local safetensors file, without downloads, unpickling or partial matches."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from equipoise.errors import EquipoiseError

COARSE_HEADS = "coarse_heads."
"""Beginning of the names of what the networks train for deep supervision alone."""


def load_pretrained(
    model: nn.Module, path: str | Path, *, rename: Mapping[str, str] | None = None, keep: Sequence[str] = ()
) -> list[str]:
    """Load the file's tensors into `model`, all or none, and return the names of those loaded.

    Args:
        model: the network to fill.
        path: a safetensors file.
        rename: prefixes of the file's names and their replacements, the longest match first; the encoders have the
            published names, so {"features.": "encoder."} fits a file of torchvision's or timm's DenseNet, and
            {"": "encoder."} one of their ResNets to DeepLab's encoder.
        keep: prefixes of names to skip: the model's tensors keep their initial values (a new head, a decoder
            without published weights), and the file's are ignored.

    Raises:
        EquipoiseError: the file is missing or not safetensors, or tensors are missing, left over or of another
            shape; the message names them.
    """
    loaded = {_renamed(name, rename or {}): tensor for name, tensor in _read(Path(path)).items()}
    loaded = {name: tensor for name, tensor in loaded.items() if not name.startswith(tuple(keep))}
    # The batch counters matter only to a cumulative momentum, and published files often lack them: neither a missing
    # nor a superfluous counter is a mismatch.
    state = {n: t for n, t in model.state_dict().items() if not n.endswith("num_batches_tracked")}
    expected = {name: tensor for name, tensor in state.items() if not name.startswith(tuple(keep))}
    loaded = {name: tensor for name, tensor in loaded.items() if not name.endswith("num_batches_tracked")}
    # Nor are heads that only training uses, where one side trains coarser maps and the other does not.
    if not all(any(name.startswith(COARSE_HEADS) for name in side) for side in (expected, loaded)):
        expected, loaded = (_without_coarse_heads(side) for side in (expected, loaded))
    problems = _mismatches(expected, loaded)
    if problems:
        raise EquipoiseError(
            f"{path} does not fit the model: {'; '.join(problems)}; choose the preset it was made for."
        )
    # Copied only after every shape was checked: a model with half of its weights loaded is never left behind.
    with torch.no_grad():
        for name, tensor in loaded.items():
            expected[name].copy_(tensor)
    return sorted(loaded)


def _without_coarse_heads(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(COARSE_HEADS)}


def _read(path: Path) -> dict[str, torch.Tensor]:
    """Read the file's tensors into main memory; EquipoiseError where it cannot be read."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise EquipoiseError(
            f"pretrained weights {path} cannot be read as safetensors ({error}); convert them to that format first."
        ) from error


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    """Return the name with its longest matching prefix replaced."""
    for prefix in sorted(rename, key=len, reverse=True):
        if name.startswith(prefix):
            return rename[prefix] + name[len(prefix) :]
    return name


def _mismatches(expected: Mapping[str, torch.Tensor], loaded: Mapping[str, torch.Tensor]) -> list[str]:
    """Describe missing, left-over and misshapen tensors, each list cut to five names; empty where the file fits."""
    misshapen = [
        f"{name} is {tuple(loaded[name].shape)} in the file and {tuple(tensor.shape)} in the model"
        for name, tensor in expected.items()
        if name in loaded and loaded[name].shape != tensor.shape
    ]
    problems = {
        "missing in the file": [name for name in expected if name not in loaded],
        "not in the model": [name for name in loaded if name not in expected],
        "of another shape": misshapen,
    }
    return [f"{problem}: {_first(names)}" for problem, names in problems.items() if names]


def _first(names: Sequence[str], most: int = 5) -> str:
    """List at most `most` names, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
