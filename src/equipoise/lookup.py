"""Resolve names in protocols to Python objects: a package's built-in names, or `module:attribute` of a user's code."""

import difflib
import hashlib
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.progress import remark


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


def spelled(name: str) -> str:
    """Return a name as protocols spell it; `resolve` ignores case, hyphens and underscores.

    >>> [spelled(name) for name in ("UNet", "DeepLab", "AdaptiveMomentum", "lidc_contours")]
    ['unet', 'deeplab', 'adaptive-momentum', 'lidc-contours']
    """
    # Words of three letters and fewer are no words of their own: "dee-plab" and "u-net" are spelled by nobody.
    parted = re.sub(r"(?<=[A-Za-z][a-z]{3})(?=[A-Z][a-z]{3})", "-", name)
    return parted.lower().replace("_", "-")


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
        raise ProtocolError(f"{kind} {name!r} is unknown; {nearest(name, map(spelled, public))}, {own}")
    return names[_plain(name)]


NO_CODE = "EQUIPOISE_NO_CODE"
"""The variable of the environment that refuses code of the user's own, in this process and those that it starts."""
_ANNOUNCED: set[str] = set()
_WORKER = "equipoise.engines.worker"
"""The main module of a process that runs what its parent has announced."""


@contextmanager
def code_refused(refused: bool = True) -> Iterator[None]:
    """Within it, no module that a `module:attribute` name stands for is imported, nor by processes that are started."""
    before = os.environ.get(NO_CODE)
    if refused:
        os.environ[NO_CODE] = "1"
    try:
        yield
    finally:
        if refused and before is None:
            os.environ.pop(NO_CODE, None)


def in_worker() -> bool:
    """Return whether this process is a worker, which runs nothing but what its parent sends."""
    return getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "") == _WORKER


_PUBLIC = {
    "model": ("equipoise.zoo", "equipoise.models"),
    "optimizer": ("equipoise.optimizers",),
    "cohort source": ("equipoise.cohorts.sources",),
}
"""The modules whose `__all__` a protocol may name in each of its roles; in all other roles it names none of ours."""
_RECORDED = {
    "preparation of a task": ("equipoise.training.preparation.", "PREPARATION"),
    "training of a task": ("equipoise.training.tasks.", "TRAINING"),
}
"""What the record of a task may name, one of the user's own too: the halves of the built-in tasks."""


def _refuse_internal(name: str, kind: str) -> None:
    """Raise EquipoiseError unless a name of ours is made for that role of a protocol.

    Any function of the package would otherwise run with the protocol's settings, as the one that writes files, and it
    would run where code is refused: a name of ours is no code of the user's own.
    """
    module, _, attribute = name.partition(":")
    beginning, half = _RECORDED.get(kind, ("", ""))
    if half and attribute == half and module.startswith(beginning):
        return
    modules = _PUBLIC.get(kind, ())
    if module in modules and attribute in importlib.import_module(module).__all__:
        return
    names = [f"{one}:{public}" for one in modules for public in importlib.import_module(one).__all__]
    remedy = nearest(name, names) if names else "name a built-in one without a colon, or 'module:attribute' of your own"
    raise EquipoiseError(f"{kind} {name!r} is internal to equipoise, which no protocol may name; {remedy}")


def _refuse_standard(name: str, kind: str, folder: Path | None, file: Path | None) -> None:
    """Raise EquipoiseError for a module of Python's standard library, unless one beside the protocol has its name."""
    module = name.partition(":")[0]
    first = module.partition(".")[0]
    if first not in sys.stdlib_module_names and first != "__main__":
        return
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if folder is None or file is None or not file.absolute().is_relative_to(folder.absolute()):
        raise EquipoiseError(
            f"{kind} {name!r} is of Python's standard library, which has no {kind}; name a function of your own as "
            "'module:attribute', in a module beside the protocol"
        )
    # Python would hand out its own, which is loaded, and not the file that is announced.
    if module in sys.modules and loaded != str(file):
        raise EquipoiseError(
            f"{kind} {name!r}: {file} has the name of a module of Python's standard library; rename the file"
        )


def announce(name: str, kind: str, folder: Path | None) -> None:
    """Say, once for each module, that code of the user's own is about to run; nothing of it has run by then.

    Raises EquipoiseError where code is refused (`code_refused`), for what is internal to this package, and for modules
    of Python's standard library, none of which is anything that a protocol names.
    """
    module = name.partition(":")[0]
    if module.partition(".")[0] == __package__:
        _refuse_internal(name, kind)
        return
    file = source_of(name, folder)
    _refuse_standard(name, kind, folder, file)
    place = f"in {file}" if file else "whose source file cannot be found"
    if os.environ.get(NO_CODE):
        # Not a ProtocolError, which `init` takes for a property of the data and goes on.
        raise EquipoiseError(
            f"{kind} {name!r} is custom code ({place}), which --no-code refuses; read it, then leave out --no-code "
            f"and unset {NO_CODE}"
        )
    if module not in _ANNOUNCED and not in_worker():
        remark(f"this {'runs' if file else 'imports'} your own code: module {module} ({kind} {name!r}) {place}")
    _ANNOUNCED.add(module)


_OURS = frozenset((
    "equipoise", "highdicom", "jinja2", "nibabel", "numpy", "onnx", "onnxruntime", "pandas", "PIL", "prodigyopt",
    "psutil", "pyarrow", "pydantic", "pydicom", "ray", "requests", "safetensors", "schedulefree", "scipy", "sklearn",
    "tifffile", "tomlkit", "torch", "torchvision",
))  # fmt: skip
"""Packages that no file beside a protocol stands in for by having their name."""
NOT_BESIDE = _OURS | sys.stdlib_module_names
"""Names of modules that no file beside a protocol stands in for."""
_IMPORTED: dict[str, str | None] = {}
"""The user's own modules that this process has imported, at its user's request, with the SHA-256 of their files."""


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


def _refuse_namesake(name: str, kind: str, folder: Path | None) -> None:
    """Raise EquipoiseError where another module of that name is loaded than the one that lies beside the protocol.

    Python would hand out the loaded one: in a notebook, the second trial would be run with the code of the first.
    """
    module = name.partition(":")[0]
    first = module.partition(".")[0]
    before, now = _IMPORTED.get(module), _digest(getattr(sys.modules.get(module), "__file__", None))
    if before is not None and now is not None and before != now:
        raise EquipoiseError(
            f"{kind} {name!r}: {getattr(sys.modules[module], '__file__', '')} was changed after this process had "
            "loaded it, which goes on with what it loaded; start a new Python process"
        )
    loaded = getattr(sys.modules.get(first), "__file__", None)
    if folder is None or not isinstance(loaded, str) or first in NOT_BESIDE:
        return
    spec = PathFinder.find_spec(first, [str(folder)])
    beside = None if spec is None else spec.origin
    # A folder that was moved holds the same code; the loaded file is gone then, and its digest remains.
    digests = (_digest(loaded), _IMPORTED.get(first))
    if beside is not None and Path(beside).resolve() != Path(loaded).resolve() and _digest(beside) not in digests:
        raise EquipoiseError(
            f"{kind} {name!r}: this process has loaded {first} from {loaded}, and {beside} lies beside the protocol; "
            "start a new Python process for this protocol, or rename one of the two files"
        )


def _digest(file: str | None) -> str | None:
    """Return the SHA-256 of a file; None where there is none."""
    try:
        return None if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return None


class _Beside:
    """A finder of the modules in a folder, before all others but Python's own and those that we stand on."""

    def __init__(self, module: str, folder: Path) -> None:
        self.first = module.partition(".")[0]
        self.folder = folder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """Return the module of that name in the folder; None for parts of packages, and where there is none."""
        if path is not None or (name != self.first and (name in sys.stdlib_module_names or name in _OURS)):
            return None
        return PathFinder.find_spec(name, [str(self.folder)])


@contextmanager
def _beside(module: str, folder: Path | None) -> Iterator[None]:
    """Within it, a module in the folder precedes an installed one of its name, and so do the modules it imports."""
    # Only meanwhile, and last on the path for good: a torch.py beside a protocol is no PyTorch for anybody else.
    if folder is None:
        yield
        return
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    finder = _Beside(module, folder)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def imported(name: str, kind: str, folder: Path | None) -> Any:
    """Import the object behind a `module:attribute` name; `folder` is searched first.

    Raises ProtocolError naming what failed to import, or the nearest spelling.
    """
    module_name, _, attribute = name.partition(":")
    announce(name, kind, folder)
    _refuse_namesake(name, kind, folder)
    try:
        with _beside(module_name, folder):
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        where = "put it beside the protocol or install it" if module_name.startswith(missing) else "install it"
        raise ProtocolError(f"{kind} {name!r} cannot be imported ({error}): {missing} is missing; {where}") from error
    # Of any kind, as a syntax error or a division by zero: the module is the user's own code, which runs here.
    # SystemExit too, which would end the command without a word.
    except (Exception, SystemExit) as error:
        raise ProtocolError(f"{kind} {name!r} cannot be imported ({raised(error)}); correct {module_name}") from error
    # What is loaded keeps its first digest where its file is gone: its folder was moved since.
    _IMPORTED[module_name] = _digest(getattr(module, "__file__", None)) or _IMPORTED.get(module_name)
    if not hasattr(module, attribute):
        public = _own_names(module)
        raise ProtocolError(f"{kind} {name!r}: {module_name} has no {attribute!r}; {nearest(attribute, public)}")
    return getattr(module, attribute)


def _own_names(module: ModuleType) -> list[str]:
    """Return the public names of what a module defines itself, without what it imports; all where that is nothing."""
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    own = [
        name
        for name, value in public.items()
        if not isinstance(value, ModuleType)
        and (not callable(value) or getattr(value, "__module__", "") == module.__name__)
    ]
    return own or [name for name, value in public.items() if not isinstance(value, ModuleType)]


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
        raise ProtocolError(
            f"the module of {name!r} has no source file, so it cannot be recorded; use a module with a Python source "
            "file"
        )
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
