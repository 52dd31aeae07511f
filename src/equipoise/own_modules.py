"""The user's own modules behind a `module:attribute` name: that module, and all of the user's that it imports.

A module is the user's own if its file lies outside of Python, installed packages and this package. Its imports are read
from its source, also those inside functions, which run late or never. What is loaded by other means shows only in a
process that has run it (`executed_code`).
"""

import ast
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from equipoise.errors import LedgerError
from equipoise.executed_code import executed_files, unwatched
from equipoise.lookup import NOT_BESIDE, in_worker, source_of
from equipoise.own_files import is_own_file
from equipoise.plain_files import bytes_of

_LARGEST_SOURCE = 2**24


def loaded_modules() -> dict[str, Path]:
    """Return the user's own modules that this process has loaded, by name, with their files."""
    own = {}
    for name, module in list(sys.modules.items()):
        root = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
        file = getattr(module, "__file__", None)
        # A part of an installed package that has no place in its folder is made by the package, as torch's kernels.
        if not isinstance(file, str) or name in ("__main__", "__mp_main__") or (root and not is_own_file(root)):
            continue
        if is_own_file(file) and Path(file).is_file():
            own[name] = Path(file)
    return own


def modules_behind(names: Iterable[str], folder: Path | None) -> dict[str, Path]:
    """Return the user's own modules behind `module:attribute` names, by name, with their files; runs none of them.

    folder: where the protocol lies, which is searched first. A module whose file cannot be read as source is listed,
    and what it imports is not known.
    """
    own: dict[str, Path] = {}
    waiting = [name.partition(":")[0] for name in names]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name.partition(".")[0] in NOT_BESIDE:
            continue
        seen.add(name)
        file = file_of(name, folder)
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)  # Python runs the packages that hold a module first
        if file is not None and is_own_file(file):
            own[name] = file
            waiting += _imports_of(name, file)
    return dict(sorted(own.items()))


def file_of(name: str, folder: Path | None) -> Path | None:
    """Return the file of a module: of the loaded one, else where it would be found; None where there is none.

    A name with a slash is of a file that was executed without a module: its place, seen from the folder.
    """
    if "/" in name:
        place = (folder or Path()) / name
        return place if place.is_file() else None
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if isinstance(loaded, str):
        return Path(loaded)
    try:
        file = source_of(name, folder)
    except (ImportError, ValueError, OSError):
        return None
    return file if file is not None and file.is_file() else None


def _imports_of(name: str, file: Path) -> Iterator[str]:
    """Yield every name in the module's source that an import statement may load as a module."""
    try:
        with unwatched():
            small = file.suffix == ".py" and file.stat().st_size < _LARGEST_SOURCE
            tree = ast.parse(bytes_of(file)) if small else None
    except (OSError, SyntaxError, ValueError, RecursionError):
        tree = None
    if tree is None:
        return
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def hashes_of(modules: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 of every module's file, by the module's name; modules without a readable file are left out."""
    hashes = {}
    for name, file in sorted(modules.items()):
        try:
            with unwatched():
                hashes[name] = hashlib.sha256(bytes_of(file)).hexdigest()
        except OSError:
            continue
    return hashes


def own_hashes(names: Iterable[str], folder: Path | None) -> dict[str, str]:
    """Return the SHA-256 of the user's own modules behind names, and in a worker process of all that it has loaded."""
    # In any other process, such as a notebook, modules are loaded that no arm asked for.
    modules = modules_behind(names, folder)
    return hashes_of(modules | (loaded_modules() if in_worker() else {}))


def late_hashes(recorded: Mapping[str, str], folder: Path | None) -> dict[str, str]:
    """Return the SHA-256 of the user's own modules that a worker has loaded and no record names.

    Files that it executed without a module (by path, by `exec`, from an archive) are among them, as when they ran;
    their names are places seen from `folder`, where the protocol lies, and hold a slash.
    """
    # By other means than an import statement, or only under a condition: nobody could know of them beforehand.
    if not in_worker():
        return {}
    loaded, executed = loaded_modules(), executed_files()
    late = hashes_of({name: file for name, file in loaded.items() if name not in recorded})
    # As it was when it ran: it may have been edited since.
    late |= {name: executed[loaded[name].absolute()] for name in late if loaded[name].absolute() in executed}
    modules = {file.resolve() for name in recorded if (file := file_of(name, folder)) is not None}
    modules |= {file.resolve() for file in loaded.values()}
    places = {place_of(file, folder): digest for file, digest in executed.items() if file.resolve() not in modules}
    return late | {place: digest for place, digest in places.items() if place not in recorded}


def place_of(file: Path, folder: Path | None) -> str:
    """Return the place of a file seen from a folder, with a slash.

    >>> place_of(Path("/home/me/lib/x.py"), Path("/home/me/trial")), place_of(Path("/t/x.py"), Path("/t"))
    ('../lib/x.py', './x.py')
    """
    try:
        place = Path(os.path.relpath(file, folder or Path())).as_posix()
    except ValueError:  # another drive
        return file.absolute().as_posix()
    return place if "/" in place else f"./{place}"


def refuse_changed_modules(recorded: Mapping[str, str], folder: Path | None, place: str) -> None:
    """Raise LedgerError, naming the file, for the first module whose file is not the recorded one any more.

    recorded: SHA-256 by the module's name. place: what recorded it, for the message.
    """
    for name, digest in recorded.items():
        file = file_of(name, folder)
        now = {} if file is None else hashes_of({name: file})
        if now.get(name) != digest:
            raise LedgerError(changed_module(name, file, place))


def changed_module(name: str, file: Path | None, place: str) -> str:
    """Return the sentence on a module that is not the recorded one; file: as it is now, None where it is missing."""
    kind = "file" if "/" in name else "module"
    what = f"the {kind} {name!r} is missing" if file is None else f"{file} ({kind} {name!r}) has changed"
    return f"{what} since {place}, and its hash is part of the plan; restore the file, or name a new folder with --out"
