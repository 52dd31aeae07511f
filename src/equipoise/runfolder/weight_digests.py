"""By what weights are recognised in another file: a digest of every tensor that training made.

Tensors are compared one by one and by their values, so a file that was saved again, whose tensors were renamed, or that
holds a part of them, is recognised. It needs no torch: the first process of a trial has none.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import EquipoiseError

FEWEST = 256
"""Elements of a tensor that can be recognised: small ones may be equal by chance, or keep their initial values."""
DIGITS = 16
_MOST_HEADER = 100 << 20
_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2"),
}  # fmt: skip


def digests_of(path: Path) -> dict[str, str]:
    """Return a digest for every tensor of a safetensors file that can tell one training from another, by its name.

    Raises EquipoiseError where the file cannot be read.
    """
    try:
        return _digests(path)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise EquipoiseError(f"weights {path} cannot be read as safetensors ({error}); convert them to it") from error


def _digests(path: Path) -> dict[str, str]:
    digests = {}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MOST_HEADER:
            raise ValueError("its header is too long")
        header = json.loads(file.read(length))
        for name, entry in header.items():
            dtype = _DTYPES.get(entry.get("dtype", ""))
            if name == "__metadata__" or dtype is None:
                continue
            start, end = entry["data_offsets"]
            file.seek(8 + length + start)
            values = np.frombuffer(file.read(end - start), dtype=dtype)
            digest = _digest(values, bfloat=entry["dtype"] == "BF16")
            if digest:
                digests[str(name)] = digest
    return digests


def _digest(values: NDArray[np.generic], *, bfloat: bool) -> str:
    """Return the digest of a tensor's values; empty for few of them, or for a constant, as initial weights may be."""
    if len(values) < FEWEST or (values == values[0]).all():
        return ""
    if bfloat:
        values = (values.astype(np.uint32) << 16).view(np.float32)
    # In half precision, so that a file that was saved in it has the same.
    with np.errstate(over="ignore", invalid="ignore"):
        content = values.astype("<f2").tobytes()
    return hashlib.sha256(content).hexdigest()[:DIGITS]
