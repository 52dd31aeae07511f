"""Which modules of the package the fast tests execute: a plugin of pytest that `tests/check.py` loads.

A module counts as executed when one of its functions was called while a fast test ran, its fixtures included; being
imported is not enough. Only calls are traced, and only during fast tests, so that the long ones keep their speed. At
the end of a run of all fast tests, a module that none executed fails the run, unless `NOT_EXECUTED` says why not.
"""

import ast
import inspect
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import CodeType, FrameType

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "equipoise"
NOT_FAST = ("slow", "trial", "long")
NOT_EXECUTED: dict[str, str] = {}
"""Modules that no fast test can execute in the tests' own process, each with the reason."""


def modules_with_functions() -> set[str]:
    """Every module of the package in which something can be called, as a path relative to the package."""
    return {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    }


class ExecutedModules:
    """Collects them in one process; with pytest-xdist, the first process collects what the others saw."""

    def __init__(self) -> None:
        self.seen: set[CodeType] = set()
        self.modules: set[str] = set()
        self.failed = False

    def trace(self, frame: FrameType, event: str, _: object) -> None:
        """Note the module of a function that is called; asks for no events within it."""
        code = frame.f_code
        if code in self.seen:
            return
        self.seen.add(code)
        # a class body and a module's own lines are no functions; comprehensions and lambdas run at import as well
        if not code.co_flags & inspect.CO_OPTIMIZED or code.co_name.startswith("<"):
            return
        file = Path(code.co_filename)
        if file.is_relative_to(PACKAGE):
            self.modules.add(file.relative_to(PACKAGE).as_posix())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Trace during the fast tests."""
        if any(item.get_closest_marker(mark) for mark in NOT_FAST):
            return (yield)
        before = sys.gettrace()
        threading.settrace(self.trace)
        sys.settrace(self.trace)
        try:
            return (yield)
        finally:
            sys.settrace(before)
            threading.settrace(before)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Take what another process saw."""
        self.modules |= set(getattr(node, "workeroutput", {}).get("executed_modules", ()))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand it to the first process; there, fail the run for what is missing."""
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
    """Take part in every process of the run."""
    config.pluginmanager.register(ExecutedModules(), "executed-modules-of-this-process")
