"""Refuse code in the files of nnU-Net that hold Python objects, before nnU-Net opens them.

nnU-Net keeps checkpoints and the properties of cases as pickles, and a pickle may run code when it is read. A job that
goes on may lie in a folder that came from somebody else, so these files are looked through first: numbers, arrays and
tensors pass, any other object is refused by name.
"""

import pickle
from pathlib import Path
from typing import Any

from equipoise.errors import EquipoiseError

_PLAIN = frozenset((
    "_codecs.encode", "collections.OrderedDict", "numpy.dtype", "numpy.ndarray",
    *(f"numpy.{core}.{name}" for core in ("core", "_core") for name in (
        "multiarray.scalar", "multiarray._reconstruct", "numeric._frombuffer",
    )),
))  # fmt: skip
"""What a pickle may call: makers of numbers and arrays, none of which runs anything else."""


def refuse_code(folder: Path) -> None:
    """Raise EquipoiseError for the first checkpoint or pickle below a folder that holds more than numbers."""
    for file in sorted(folder.rglob("*")):
        if file.suffix not in (".pth", ".pkl") or not file.is_file():
            continue
        try:
            foreign = _called_by_checkpoint(file) if file.suffix == ".pth" else _called_by_pickle(file)
        except Exception as error:  # of any kind: a damaged pickle fails anywhere
            raise _refusal(file, f"is damaged ({type(error).__name__})") from error
        if foreign:
            raise _refusal(file, f"calls {min(foreign)}, which numbers do not need")


def _refusal(file: Path, what: str) -> EquipoiseError:
    return EquipoiseError(f"{file} {what}; remove the folder of its job, and run the same command again")


def _called_by_checkpoint(file: Path) -> set[str]:
    """Return what a checkpoint of torch calls beyond tensors and numbers; nothing of it is run."""
    from torch.serialization import get_unsafe_globals_in_checkpoint

    return {name for name in get_unsafe_globals_in_checkpoint(file) if not _is_plain(name)}


def _called_by_pickle(file: Path) -> set[str]:
    """Return the first thing that a pickle calls beyond numbers; it is read no further."""
    with file.open("rb") as content:
        reader = _Reader(content)
        try:
            reader.load()
        except pickle.UnpicklingError:
            if not reader.foreign:
                raise
    return reader.foreign


def _is_plain(name: str) -> bool:
    # Each number type of numpy has a class of its own there, and nothing else has.
    return name in _PLAIN or (name.startswith("numpy.dtypes.") and name.endswith("DType"))


class _Reader(pickle.Unpickler):
    """Reads numbers and arrays alone."""

    foreign: set[str]

    def __init__(self, content: Any) -> None:
        super().__init__(content)
        self.foreign = set()

    def find_class(self, module: str, name: str) -> Any:
        """Return a maker of numbers; raise for anything else."""
        if not _is_plain(f"{module}.{name}"):
            self.foreign.add(f"{module}.{name}")
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)
