"""Which modules of the package the fast tests execute: a plugin of pytest that `tests/check.py` loads.

A module counts as executed when one of its functions was called during a fast test, its fixtures included; being
imported is not enough. Long tests are not observed. At the end of a run of all fast tests, a module that none executed
fails the run, unless `NOT_EXECUTED` says why not.

The package is compiled with one statement more at the start of every function, which reports the first call of its
module. A tracer of the interpreter would need no such statement, but it slows every instruction of every library: under
`coverage` the fast tests took eight times their own time.
"""

import ast
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Generator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "equipoise"
NOT_FAST = ("slow", "trial", "long")
NOT_EXECUTED: dict[str, str] = {}
"""Modules that no fast test can execute in the tests' own process, each with the reason."""
REPORT = "__first_call__"
"""The name in each module of what its functions call while the module waits for its first call, else None."""


def functions_of(tree: ast.AST) -> list[ast.FunctionDef]:
    """Every function of a module, those within classes and functions too."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@functools.cache
def modules_with_functions() -> frozenset[str]:
    """The modules in which something can be called, as paths relative to the package."""
    files = {file: ast.parse(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")}
    return frozenset(file.relative_to(PACKAGE).as_posix() for file, tree in files.items() if functions_of(tree))


def reporting(source: bytes, file: str) -> CodeType:
    """Compile a module whose functions begin with `if __first_call__: __first_call__()`, after their docstrings."""
    tree = ast.parse(source, file)
    for function in functions_of(tree):
        start = int(ast.get_docstring(function, clean=False) is not None)
        statement = ast.parse(f"if {REPORT}: {REPORT}()").body[0]
        for node in ast.walk(statement):  # the line of the function's first statement: tracebacks stay as they were
            ast.copy_location(node, function.body[min(start, len(function.body) - 1)])
        function.body.insert(start, statement)
    code: CodeType = compile(tree, file, "exec")
    return code


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles a module anew in every process: it neither reads nor writes the interpreter's cache of bytecode."""

    def __init__(self, name: str, path: str, watch: "ExecutedModules") -> None:
        super().__init__(name, path)
        self.watch = watch

    def get_code(self, fullname: str) -> CodeType:
        return reporting(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__[REPORT] = None  # what runs during an import is no test's call
        super().exec_module(module)
        self.watch.imported(Path(self.path).relative_to(PACKAGE).as_posix(), module.__dict__)


class ExecutedModules(importlib.abc.MetaPathFinder):
    """Collects them in one process; with pytest-xdist, the first process collects what the others saw."""

    def __init__(self) -> None:
        self.names: dict[str, dict[str, Any]] = {}  # of each imported module: the names in it
        self.modules: set[str] = set()
        self.observing = False
        self.failed = False

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        """Find the package's own modules as Python does; have them compiled here."""
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or not spec.origin or not Path(spec.origin).is_relative_to(PACKAGE):
            return None
        if not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        spec.loader = _Loader(fullname, spec.origin, self)
        return spec

    def observe(self, wanted: bool) -> None:
        """Have the first call of each module reported from now on, or not."""
        if wanted != self.observing:
            self.observing = wanted
            for name, names in self.names.items():
                self.imported(name, names)

    def imported(self, name: str, names: dict[str, Any]) -> None:
        """From now on the module exists, also where a test imports it only when it needs it."""
        self.names[name] = names
        names[REPORT] = functools.partial(self.saw, name) if self.observing and name not in self.modules else None

    def saw(self, name: str) -> None:
        """A function of the module was called; further calls need not be reported."""
        self.modules.add(name)
        self.names[name][REPORT] = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Observe the fast tests."""
        self.observe(not any(item.get_closest_marker(mark) for mark in NOT_FAST))
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Take what another process saw."""
        self.modules |= set(getattr(node, "workeroutput", {}).get("executed_modules", ()))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand it to the first process; there, fail the run for what is missing."""
        self.observe(False)
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["executed_modules"] = sorted(self.modules)
        elif self.complaints() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus, self.failed = pytest.ExitCode.TESTS_FAILED, True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is missing, one module per line; after a failure, an error would only be hidden among them."""
        modules = modules_with_functions()
        terminalreporter.write_line(f"fast tests execute {len(modules & self.modules)} of {len(modules)} modules")
        if self.failed:
            for complaint in self.complaints():
                terminalreporter.write_line(complaint, red=True)

    def complaints(self) -> list[str]:
        """One sentence per module that no fast test executes, and per exception that is none any more."""
        missing = modules_with_functions() - self.modules
        return [
            *(
                f"src/equipoise/{name}: no fast test calls a function of it"
                for name in sorted(missing - set(NOT_EXECUTED))
            ),
            *(f"src/equipoise/{name}: take it off NOT_EXECUTED" for name in sorted(set(NOT_EXECUTED) - missing)),
        ]


def pytest_configure(config: pytest.Config) -> None:
    """Take part in every process of the run, before anything of the package is imported."""
    plugin = ExecutedModules()
    sys.meta_path.insert(0, plugin)
    config.pluginmanager.register(plugin, "executed-modules-of-this-process")
