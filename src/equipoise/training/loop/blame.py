"""Tell an arm's own fault from the machine's: only the former is a failure that counts in the verdict."""

import re
import sys
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.lookup import in_worker
from equipoise.own_files import is_own_file
from equipoise.own_modules import loaded_modules, modules_behind
from equipoise.runfolder.job import Job

_OUT_OF_MEMORY = ("can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory", "bad_alloc")


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
    """Whether an error passed through the user's own code: what the job names, and what that imports."""
    places = places_of(job)
    files = {Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)}
    return any(in_own_code(file, places) for file in files if file.is_file())


def in_own_code(file: Path, places: Collection[Path]) -> bool:
    """Whether a file of code is one of these, or lies in one of these folders without being installed there."""
    resolved = file.resolve()
    return resolved in places or (is_own_file(file) and any(place in resolved.parents for place in places))


def own_names(job: Job) -> list[str]:
    """Return the `module:attribute` names of a job, and of its members, that are not of this package."""
    names = [job.arm.model.name, job.arm.optimizer.name, job.training.loss, job.task, *job.own]
    names += [job.arm.nnunet.trainer] if job.arm.nnunet is not None else []
    own = [name for name in names if ":" in name and not re.match(r"equipoise[.:]", name)]
    return own + [name for member in job.members for name in own_names(member)]


def places_of(job: Job) -> set[Path]:
    """Return the files of a job's own code, installed ones too, and the folder of the user's modules."""
    names = own_names(job)
    files = [*modules_behind(names, job.code).values()]
    files += loaded_modules().values() if names and in_worker() else ()
    for name in names:
        # Of an installed package all files: its author is not us, and its errors are those of the arm.
        root = getattr(sys.modules.get(name.partition(":")[0].partition(".")[0]), "__file__", None)
        place = None if root is None else Path(root)
        files += [] if place is None else place.parent.rglob("*.py") if place.name == "__init__.py" else [place]
    # Helpers beside the protocol too, whoever loads them.
    return {file.resolve() for file in files} | {job.code.resolve()}
