"""Watch, in a worker, which files of code are executed: also those that never become a module of the process.

A file that is loaded by its path, by `exec` or from an archive leaves nothing in `sys.modules`. Python tells such
events to an audit hook (PEP 578), which notes the file and the hash that it has at that moment.
"""

import hashlib
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from equipoise.own_files import is_own_file

_SOURCES = (".py", ".pyc")
_CACHE = f"{os.sep}__pycache__{os.sep}"
_executed: dict[str, str] = {}
"""SHA-256 by the file's path, at its last execution."""
_own: dict[str, str | None] = {}
"""The file behind each name of an event: of code in an archive the archive; None for what is not the user's."""
_OURS = f"{Path(__file__).parent}{os.sep}"
_STANDARD, _PACKAGES = (f"{sysconfig.get_path(key)}{os.sep}" for key in ("stdlib", "purelib"))
_watching = False
_here = threading.local()


def watch() -> None:
    """Begin to note files of the user's own; once for a process, because no hook can be taken away."""
    global _watching
    if not _watching:
        _watching = True
        sys.addaudithook(_hear)


def executed_files() -> dict[Path, str]:
    """Return the files that were executed since `watch`, with the SHA-256 that each had then, archives among them."""
    # Code that is compiled inside an archive may have any name; the importers know the archives.
    for importer in list(sys.path_importer_cache.values()):
        archive = getattr(importer, "archive", None)
        if _watching and isinstance(archive, str) and (file := _file_of(archive)) and file not in _executed:
            _note(file)
    return {Path(file): digest for file, digest in sorted(_executed.items())}


@contextmanager
def unwatched() -> Iterator[None]:
    """Within it, this thread reads files to compare them and not to execute them."""
    before, _here.quiet = getattr(_here, "quiet", False), True
    try:
        yield
    finally:
        _here.quiet = before


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    # Called for every audited event of the process: whatever is not code must leave at once.
    if event == "exec":
        name = getattr(arguments[0], "co_filename", None)
    elif event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(_SOURCES):
        name = arguments[0]  # `exec(open(file).read())` gives its code no name
    elif event == "ctypes.dlopen":
        name = arguments[0]
    else:
        return
    if isinstance(name, str) and name and name[0] != "<" and not getattr(_here, "quiet", False):
        with unwatched():
            file = _file_of(name)
            if file is not None and _by_own_code(sys._getframe(1), for_it=event == "exec"):
                _note(file)


def _by_own_code(frame: FrameType | None, *, for_it: bool) -> bool:
    """Return whether code of the user's own, or with `for_it` this package, runs a file, and no other package does.

    Compilers of torch run what they have written themselves, into folders that they empty at will; this package loads
    its kernels from such a folder, and reads sources to compare them.
    """
    while frame is not None:
        file = frame.f_code.co_filename
        standard = file.startswith(_STANDARD) and not file.startswith(_PACKAGES)
        if not (standard or file.startswith("<")):
            return (for_it and file.startswith(_OURS)) or is_own_file(file)
        frame = frame.f_back
    return True


def _note(file: str) -> None:
    """Enter a file with its hash; never raises into what runs."""
    with unwatched(), suppress(OSError):
        _executed[file] = hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _file_of(name: str) -> str | None:
    if name not in _own:
        _own[name] = _existing(os.path.abspath(name))  # noqa: PTH100
    return _own[name]


def _existing(file: str) -> str | None:
    """Return the file, or the archive that holds it, where it is the user's own; None for any other."""
    # Bytecode that Python keeps of a source is made anew at will; its source is noted when it runs.
    kept = _CACHE in file or (sys.pycache_prefix is not None and Path(file).is_relative_to(sys.pycache_prefix))
    if kept or "\0" in file or not is_own_file(file):
        return None
    while not os.path.lexists(file):
        file, before = os.path.dirname(file), file  # noqa: PTH120
        if file == before:
            return None
    return file if os.path.isfile(file) else None  # noqa: PTH113
