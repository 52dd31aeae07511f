"""Checkpoints that survive `kill -9`: tensors as safetensors, everything else as JSON, never a pickle.

A checkpoint is two files. The tensors are written first, then the JSON with their SHA-256 and its own; each is written
under a temporary name, flushed to disk and renamed. The JSON's rename is the commit: a crash at any moment leaves the
previous checkpoint intact. The last two are kept, so that a damaged newest one costs an epoch and not the job.
"""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from equipoise.atomic_write import Write, json_bytes, write_atomic
from equipoise.errors import EquipoiseError

KEPT = 2
_LAYOUTS = {"channels_last": torch.channels_last, "channels_last_3d": torch.channels_last_3d}


def _has(tensor: torch.Tensor, layout: torch.memory_format) -> bool:
    axes = 4 if layout is torch.channels_last else 5
    return tensor.ndim == axes and tensor.is_contiguous(memory_format=layout)


def pack(value: Any, tensors: dict[str, torch.Tensor], name: str = "") -> Any:
    """Convert nested dictionaries, lists, tuples and scalars to JSON values, and move the tensors to `tensors`."""
    if isinstance(value, torch.Tensor):
        if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.layout is not torch.strided:
            # A subclass (as of 8-bit states) is more than its values, which safetensors alone would keep.
            kind = type(value).__name__ if value.layout is torch.strided else "sparse tensor"
            raise EquipoiseError(
                f"a checkpoint cannot hold the {kind} at {name.strip('/')}; keep plain dense tensors in the state"
            )
        plain = value.detach().cpu()
        tensors[name] = plain.contiguous().clone()
        # The order in memory decides the order of sums: a resumed job needs the layout that it had.
        layout = next((key for key in _LAYOUTS if not plain.is_contiguous() and _has(plain, _LAYOUTS[key])), None)
        return {"tensor": [name, layout]}
    # Pairs and not a JSON object: an optimizer's state has integer keys, which JSON would turn into strings.
    if isinstance(value, dict):
        return {"dict": [[key, pack(item, tensors, f"{name}/{key}")] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [pack(item, tensors, f"{name}/{index}") for index, item in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise EquipoiseError(
        f"a checkpoint cannot hold the {type(value).__name__} at {name.strip('/')}; keep tensors and plain values there"
    )


def unpack(packed: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Restore the values that `pack` converted."""
    ((kind, content),) = packed.items()
    if kind == "tensor":
        name, layout = content
        return tensors[name] if layout is None else tensors[name].contiguous(memory_format=_LAYOUTS[layout])
    if kind == "dict":
        return {key: unpack(item, tensors) for key, item in content}
    if kind == "list":
        return [unpack(item, tensors) for item in content]
    if kind == "tuple":
        return tuple(unpack(item, tensors) for item in content)
    return content


def save(folder: Path, number: int, state: dict[str, Any], write: Write = write_atomic) -> None:
    """Write checkpoint `number` (rising over a job's life) and delete all but the last two.

    write: how a file is written; that of the job's `Writer` refuses where another process trains the job now.
    """
    tensors: dict[str, torch.Tensor] = {}
    packed = pack(state, tensors)
    file = folder / f"{number:06d}.safetensors"
    write(file, lambda path: save_file(tensors, path))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    content = json_bytes({"sha256": digest, "state_sha256": _digest(packed), "state": packed})
    write(folder / f"{number:06d}.json", lambda path: path.write_bytes(content))
    for old in sorted(folder.glob("[0-9]*.json"))[:-KEPT]:
        old.unlink()
        with contextlib.suppress(FileNotFoundError):
            old.with_suffix(".safetensors").unlink()


def _digest(packed: Any) -> str:
    return hashlib.sha256(json.dumps(packed).encode()).hexdigest()


def load_latest(folder: Path) -> dict[str, Any] | None:
    """Return the state of the newest undamaged checkpoint; None where there is none."""
    return load_undamaged(folder)[0]


def load_undamaged(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the state of the newest undamaged checkpoint, None where there is none, and the names of damaged ones."""
    damaged: list[str] = []
    for description in sorted(folder.glob("[0-9]*.json"), reverse=True):
        try:
            return _load(description), damaged
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError):
            damaged.append(description.stem)
    return None, damaged


def _load(description: Path) -> dict[str, Any]:
    """Read one checkpoint; ValueError where a hash differs."""
    content = json.loads(description.read_text(encoding="utf-8"))
    file = description.with_suffix(".safetensors")
    # Checkpoints of version 0.1 have no hash of the state.
    own = content.get("state_sha256", _digest(content["state"]))
    if hashlib.sha256(file.read_bytes()).hexdigest() != content["sha256"] or own != _digest(content["state"]):
        raise ValueError(f"{description.name} is not the checkpoint that was written")
    state: dict[str, Any] = unpack(content["state"], load_file(file))
    return state
