"""Resolve names in protocols to Python objects: a package's built-in names, or `module:attribute` of a user's code."""

import difflib
import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from equipoise.errors import ProtocolError


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return the end of an error message: the nearest spelling, then all names allowed.

    >>> nearest("densnet", ["unet", "densenet"])
    "did you mean 'densenet'? allowed: unet, densenet"
    """
    choices = list(allowed)
    # A beginning comes first: difflib's ratio falls with the difference in length, so a short beginning of a long name
    # would be below the cutoff.
    close = [choice for choice in choices if len(name) > 2 and choice.startswith(name)]
    # Capitals are no misspelling: "unnet" is one letter from "UNet".
    folded = {choice.casefold(): choice for choice in reversed(choices)}
    close = close or [folded[one] for one in difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)]
    return (f"did you mean {close[0]!r}? " if close else "") + f"allowed: {', '.join(choices)}"


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def resolve(name: str, package: ModuleType, kind: str, folder: Path | None = None) -> Any:
    """Return the object that `name` stands for.

    A name with a colon is imported (`folder`, where the protocol lies, is searched first); any other name is matched
    against the package's `__all__`, ignoring case, hyphens and underscores, so `lidc-contours` finds `lidc_contours`.

    Raises ProtocolError naming the nearest spelling, or what failed to import.
    """
    if ":" in name:
        return imported(name, kind, folder)
    return getattr(package, public_name(name, package.__all__, kind))


def public_name(name: str, public: Sequence[str], kind: str) -> str:
    """Return the built-in name that `name` stands for; raises ProtocolError with the nearest spelling.

    >>> public_name("dense-net", ["UNet", "DenseNet"], "model")
    'DenseNet'
    """
    names = {_plain(one): one for one in public}
    if _plain(name) not in names:
        own = "or your own as 'module:attribute'"
        raise ProtocolError(f"{kind} {name!r} is unknown; {nearest(name, public)}, {own}")
    return names[_plain(name)]


_IMPORTED: set[str] = set()
"""Modules of the user's own that this process has imported: their code has been run at its user's request."""


def is_imported(name: str) -> bool:
    """Return whether `imported` has already run the module of a `module:attribute` name in this process."""
    return name.partition(":")[0] in _IMPORTED


def source_of(name: str, folder: Path | None) -> Path | None:
    """Return the source file of the module in a `module:attribute` name without running any of it; None without one.

    `folder` is searched first, as by `imported`; a module that is loaded already keeps its file.
    """
    module_name = name.partition(":")[0]
    if is_imported(name):
        loaded = getattr(sys.modules.get(module_name), "__file__", None)
        return None if loaded is None else Path(loaded)
    places: Iterable[str] | None = [*([] if folder is None else [str(folder)]), *sys.path]
    spec = None
    package = ""
    # Part by part with the finder alone: `importlib.util.find_spec` runs the packages that hold a module.
    for part in module_name.split("."):
        package = f"{package}.{part}" if package else part
        spec = None if places is None else PathFinder.find_spec(package, list(places))
        if spec is None:
            return None
        places = spec.submodule_search_locations
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def imported(name: str, kind: str, folder: Path | None) -> Any:
    """Import the object behind a `module:attribute` name; `folder` is searched first.

    Raises ProtocolError naming what failed to import, or the nearest spelling.
    """
    module_name, _, attribute = name.partition(":")
    # First on the path, so that a module beside the protocol precedes an installed one of the same name.
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        where = "put it beside the protocol or install it" if module_name.startswith(missing) else "install it"
        raise ProtocolError(f"{kind} {name!r} cannot be imported ({error}): {missing} is missing; {where}") from error
    # Of any kind, as a syntax error or a division by zero: the module is the user's own code, which runs here.
    # SystemExit too, which would end the command without a word.
    except (Exception, SystemExit) as error:
        raise ProtocolError(f"{kind} {name!r} cannot be imported ({raised(error)}); mend {module_name}") from error
    _IMPORTED.add(module_name)
    if not hasattr(module, attribute):
        public = [public for public in vars(module) if not public.startswith("_")]
        raise ProtocolError(f"{kind} {name!r}: {module_name} has no {attribute!r}; {nearest(attribute, public)}")
    return getattr(module, attribute)


def raised(error: BaseException) -> str:
    """Return an exception of the user's own code as one line: its kind, its text and where it was raised."""
    text = " ".join(str(error).split())[:300]
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{kind}: {text}"  # it names file and line itself
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{kind}: {text}{at}" if text else f"{kind}{at}"


def module_hash(name: str) -> str:
    """Return the SHA-256 of the source file of the module in an imported `module:attribute` name.

    Raises ProtocolError where the module has no source file, as compiled code.
    """
    # The module's file and not the attribute's: a task is an instance, for which `inspect` finds no source.
    file = inspect.getsourcefile(sys.modules[name.partition(":")[0]])
    if file is None:
        raise ProtocolError(f"the module of {name!r} has no source file, so it cannot be recorded; give its source")
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def source_hash(name: str, resolved: Any) -> str | None:
    """Return the SHA-256 of the source file behind a `module:attribute` name; None for built-in and compiled code."""
    if ":" not in name:
        return None
    try:
        file = inspect.getsourcefile(resolved)
    except TypeError:
        return None
    return None if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()
