"""Misspelt names of a protocol, refused at once: before the cohort is read, and before any process loads torch.

Networks and optimizers need torch to be imported, so their names and settings are read from their source, as data.
What cannot be read so is left to the trial of the arms, which builds them.
"""

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from equipoise.errors import PredictionError, ProtocolError
from equipoise.lookup import NO_CODE, nearest, public_name, source_of
from equipoise.protocol import Protocol
from equipoise.protocol.sections import Named
from equipoise.tasks import Task, task_named
from equipoise.zoo import refuse_without_adapter

_GIVEN = ("self", "in_channels", "out_channels", "spatial_dims", "params")
"""Parameters that the trial gives, and a protocol cannot set."""
_ZOO = "equipoise.zoo"
_MAKING = ("import *", "globals(", "setattr(", "exec(", "__getattr__", "vars(", "global ", "sys.modules")
"""Signs of a module that makes names while it runs, which cannot be read from its source."""
_PACKAGES = Path(__file__).resolve().parents[1]


def refuse_misspelt(protocol: Protocol) -> None:
    """Raise ProtocolError for the first name that nothing has: of a model, an optimizer, a setting, an endpoint."""
    for arm in protocol.arms:
        if arm.nnunet is not None or arm.ensemble:
            continue  # no network of ours; the protocol has read what it states
        refuse_without_adapter(arm.model.name, arm.model.settings, protocol.folder)
        _check_own(arm.model.name, "model", protocol.folder)
        _check_own(arm.optimizer.name, "optimizer", protocol.folder)
        _check_foreign(arm.model)
        _check(arm.model, "model", "models")
        _check(arm.optimizer, "optimizer", "optimizers")
    _check_own(protocol.training.loss, "loss", protocol.folder)
    task = task_named(protocol.cohort.task, protocol.folder)
    for name in (protocol.endpoints.primary, *protocol.endpoints.secondary):
        if ":" not in name:
            _check_endpoint(name, task)


def _check_endpoint(name: str, task: Task) -> None:
    # Here, because a misspelt arm needs no scipy.
    from equipoise.evaluation.segmentation import metric_columns
    from equipoise.statistics.endpoints import endpoint_named, of_case

    own = [endpoint.name for endpoint in task.endpoints]
    if task.endpoint_names and name not in task.endpoint_names:
        raise ProtocolError(f"the endpoint {name!r} is unknown in {task.name}; {nearest(name, task.endpoint_names)}")
    if name in own or task.endpoint_names:
        return
    if task.has_masks:
        # The regions are the cohort's to know; a name that begins with no metric fits none of them.
        if not of_case(name).direction_known:
            raise ProtocolError(f"the endpoint {name!r} is unknown; {nearest(name, metric_columns(()))}")
        return
    try:
        endpoint_named(name, task.columns, ("first", "second") if task.has_labels else ())
    except PredictionError as error:
        raise ProtocolError(f"the endpoint {name!r} is unknown: {error}") from error


def _check_foreign(model: Named) -> None:
    """Refuse a network of another package that is not installed, or has none of that name."""
    package, _, adapter = model.name.partition(":")
    network = model.settings.get("network")
    if package != _ZOO or not isinstance(network, str):
        return
    # Here, because no other model needs the catalogue.
    from equipoise.catalogue.foreign import PACKAGES, refuse_unknown

    if adapter in PACKAGES:
        refuse_unknown(adapter, network)


def _check_own(name: str, kind: str, folder: Path | None) -> None:
    """Refuse a name that a module of the user's own does not define, without running any of it."""
    module, _, attribute = name.partition(":")
    # Where code is refused, that is what its user is told first.
    file = source_of(name, folder) if attribute and not os.environ.get(NO_CODE) else None
    if file is None or file.suffix != ".py":
        return
    try:
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return  # told where the module is imported
    if any(sign in text for sign in _MAKING):
        return
    names = {bound: None for node in tree.body for bound in _bound(node)}
    if attribute not in names:
        public = [one for one in names if not one.startswith("_")]
        raise ProtocolError(f"{kind} {name!r}: {module} has no {attribute!r}; {nearest(attribute, public)}")


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement of a module binds, in branches and blocks too."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name  # what is inside is not the module's
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in aliases)
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Lambda():
            return
        case _:
            for inner in ast.iter_child_nodes(node):
                yield from _bound(inner)


def _check(named: Named, kind: str, package: str) -> None:
    """Check a built-in name, its settings and its preset."""
    names = public_names(package)
    if ":" in named.name or names is None:
        return
    source = _source(package, public_name(named.name, names, kind))
    if source is None:
        return
    parameters, presets = source
    for key in named.settings:
        if parameters is not None and key not in parameters:
            raise ProtocolError(f"{kind} {named.name!r} has no setting {key!r}; {nearest(key, parameters)}")
    preset = named.settings.get("preset")
    if presets and preset is not None and str(preset) not in (*presets, "auto"):
        raise ProtocolError(f"{kind} {named.name!r} has no preset {str(preset)!r}; {nearest(str(preset), presets)}")


@cache
def public_names(package: str) -> tuple[str, ...] | None:
    """Return the names that a package offers, from the literal `__all__` of its source; None where it is no literal."""
    for node in _parsed(_PACKAGES / package / "__init__.py").body:
        if isinstance(node, ast.Assign) and [getattr(one, "id", "") for one in node.targets] == ["__all__"]:
            try:
                return tuple(ast.literal_eval(node.value))
            except (ValueError, TypeError):
                return None
    return None


@cache
def _source(package: str, name: str) -> tuple[tuple[str, ...] | None, tuple[str, ...]] | None:
    """Return a class's settings (None: it takes any) and its presets; None where its source is not the package's."""
    for module in _modules(package, name):
        tree = _parsed(module)
        made = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
        if made is not None:
            return _settings(made), _presets(tree)
    return None


def _modules(package: str, name: str) -> Iterator[Path]:
    """Yield the modules of the package from which its `__init__` imports the name."""
    for node in ast.walk(_parsed(_PACKAGES / package / "__init__.py")):
        match node:
            case ast.ImportFrom(module=str(module), names=aliases) if module.startswith("equipoise."):
                file = _PACKAGES.joinpath(*module.split(".")[1:]).with_suffix(".py")
                if name in [alias.name for alias in aliases] and file.is_file():
                    yield file


def _settings(made: ast.ClassDef) -> tuple[str, ...] | None:
    start = next((node for node in made.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"), None)
    if start is None:
        return None
    names = tuple(one.arg for one in (*start.args.args, *start.args.kwonlyargs) if one.arg not in _GIVEN)
    # `**unknown` catches settings only to refuse them with the nearest name; under another name they are passed on.
    rest = start.args.kwarg
    return None if rest is not None and rest.arg != "unknown" else names


def _presets(tree: ast.Module) -> tuple[str, ...]:
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id="PRESETS"), value=ast.Dict(keys=keys)):
                return tuple(str(key.value) for key in keys if isinstance(key, ast.Constant))
    return ()


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))
