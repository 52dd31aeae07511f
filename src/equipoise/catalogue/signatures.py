"""Read signatures, docstrings and constants from source files without running them.

Importing a network or an optimizer imports torch, which takes seconds; a list of names has to answer at once.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

Definition = ast.FunctionDef | ast.ClassDef
_MOST_STEPS = 20
"""Re-exports followed before a chain of imports is taken for endless."""


@dataclass(frozen=True)
class Parameter:
    """A parameter as its source states it; default is empty where there is none."""

    name: str
    kind: str
    default: str
    keyword_only: bool


@dataclass(frozen=True)
class Module:
    """A parsed source file and its dotted name."""

    name: str
    tree: ast.Module
    is_package: bool

    @property
    def doc(self) -> str:
        """The module's docstring."""
        return ast.get_docstring(self.tree) or ""

    def constant(self, name: str) -> Any:
        """Return the value of a literal that the module assigns; constants of the module may stand in it."""
        value = self.assigned(name)
        return ast.literal_eval(_Substituted(self).visit(value))

    def assigned(self, name: str) -> ast.expr:
        """Return the expression that the module assigns to a name; LookupError where it assigns none."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                    return node.value
        raise LookupError(f"{self.name} assigns no {name}")


class _Substituted(ast.NodeTransformer):
    """Replace names of constants of the same module by their values, because `literal_eval` knows no names."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace one name."""
        return ast.Constant(self.module.constant(node.id))


@cache
def module_named(name: str) -> Module | None:
    """Return the parsed source of a module; None where there is no such module or no source."""
    places: list[str] | None = None
    spec = None
    package = ""
    # Part by part with the finder alone: `importlib.util.find_spec` would run the packages that hold the module.
    for part in name.split("."):
        package = f"{package}.{part}" if package else part
        spec = PathFinder.find_spec(package, places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or [])
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    return Module(name, tree, spec.submodule_search_locations is not None)


def definition(module: str, name: str) -> tuple[Module, Definition] | None:
    """Return the function or class behind a name of a module, through re-exports; None without its source."""
    for _ in range(_MOST_STEPS):
        parsed = module_named(module)
        if parsed is None:
            return None
        for node in parsed.tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
                return parsed, node
        origin = next((place for alias, place in _imports(parsed) if alias == name), None)
        if origin is None:
            return None
        module, name = origin
    return None


def _imports(module: Module) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each imported name with the module and the name it comes from, also those under TYPE_CHECKING."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                # One dot is the package that holds the module; every further one is the package above.
                parts = module.name.split(".")
                kept = len(parts) - node.level + (1 if module.is_package else 0)
                source = ".".join([*parts[:kept], *([node.module] if node.module else [])])
            for alias in node.names:
                yield alias.asname or alias.name, (source, alias.name)


def parameters(node: Definition) -> tuple[Parameter, ...]:
    """Return the named parameters of a function, or of a class's constructor, without `self`."""
    function = constructor(node) if isinstance(node, ast.ClassDef) else node
    if function is None:
        return ()
    given = function.args
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    named = [(one, default, False) for one, default in zip(plain, defaults, strict=True)]
    named += [(one, default, True) for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return tuple(
        Parameter(one.arg, _source(one.annotation), _source(default), only)
        for one, default, only in named
        if one.arg != "self"
    )


def constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    """Return a class's own constructor; None without one."""
    inner = (one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__")
    return next(inner, None)


def fields(node: ast.ClassDef) -> tuple[Parameter, ...]:
    """Return the fields of a dataclass, in order."""
    declared = [one for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]
    return tuple(
        Parameter(one.target.id, _source(one.annotation), _source(one.value), True)  # type: ignore[union-attr]
        for one in declared
    )


def doc(module: Module, node: Definition) -> str:
    """Return the docstring of a definition of a module; empty without one."""
    return ast.get_docstring(node) or _assigned_doc(module, node.name)


def _assigned_doc(module: Module, name: str) -> str:
    """Return the literal texts of an assignment `NAME.__doc__ = …`, as torch's optimizers have; else empty."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == f"{name}.__doc__":
            return "".join(_texts(node.value))
    return ""


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the literal texts of an expression in the order of its source."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for inner in ast.iter_child_nodes(node):
        yield from _texts(inner)


def _source(node: ast.expr | None) -> str:
    return "" if node is None else ast.unparse(node)
