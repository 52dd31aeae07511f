"""Tell an arm's own fault from the machine's: only the former is a failure that counts in the verdict."""

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.runfolder.job import Job

_OUT_OF_MEMORY = ("can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory", "bad_alloc")
_HERE = Path(__file__).resolve().parents[2]


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: in Python, in torch's allocators, or on the device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # torch's CPU allocator and libraries below it raise a plain RuntimeError, told by its text alone.
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _OUT_OF_MEMORY)


@contextmanager
def named_arm(name: str, cannot: str, remedy: str) -> Iterator[None]:
    """Turn what is raised while an arm is tried into one sentence that names it.

    cannot: what it then cannot do. Raises ProtocolError, and MemoryError where memory ran out, which is no fault of it.
    """
    try:
        yield
    except EquipoiseError as error:
        raise ProtocolError(f"arm {name!r}: {error}") from error
    except Exception as error:
        if out_of_memory(error):
            raise MemoryError(str(error).split("\n")[0] or "out of memory") from error
        sentence = f"{type(error).__name__}: {error}".split("\n")[0]
        raise ProtocolError(f"arm {name!r} {cannot} ({sentence}); {_of_its_size(sentence) or remedy}") from error


_OTHER_SIZE = re.compile(r"\((\d+)[^()]*\) doesn't match model(?: size)? \((\d+)")
"""What networks of one image size say of another, as timm's vision transformers: theirs behind the images'."""


def _of_its_size(sentence: str) -> str:
    """Return the cure of a network that takes images of one size alone; empty for any other fault.

    >>> _of_its_size("AssertionError: Input height (24) doesn't match model (224).")[:46]
    'build it for the images (img_size = 24 in its '
    """
    sizes = _OTHER_SIZE.search(sentence)
    if sizes is None:
        return ""
    here, there = sizes.groups()
    return (
        f"build it for the images (img_size = {here} in its table, if the network has this setting), or bring the "
        f"images to its size (preprocessing.size = [{there}, {there}])"
    )


def of_the_arm(error: BaseException, job: Job) -> bool:
    """Whether an error passed through the user's own code: a model, optimizer, loss or task of the job."""
    own = _own_code(job)
    frames = (Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__))
    return any(_within(file.resolve(), own, job.code) for file in frames if file.is_file())


def _own_code(job: Job) -> set[Path]:
    """Return the files and package folders of the modules that the job names."""
    names = (job.arm.model.name, job.arm.optimizer.name, job.training.loss, job.task)
    places = set()
    for name in names:
        module = sys.modules.get(name.partition(":")[0].partition(".")[0]) if ":" in name else None
        file = getattr(module, "__file__", None)
        if file:
            path = Path(file).resolve()
            places.add(path.parent if path.name == "__init__.py" else path)
    return places


def _within(file: Path, own: set[Path], code: Path) -> bool:
    if any(file == place or place in file.parents for place in own):
        return True
    # Helpers beside the protocol too; this package and installed ones may lie below the same folder.
    installed = (_HERE, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve())
    return code.resolve() in file.parents and not any(place in file.parents for place in installed)
