"""Which modules of the package the fast tests execute: a plugin of pytest that `tests/check.py` loads.

A module counts as executed when a line within one of its functions ran during a fast test, its fixtures included;
being imported is not enough. `coverage` observes it: its tracer is written in C and skips files outside the package,
where one in Python, called for every function of every library, costs half of the tests' own time again. Long tests
are not observed. At the end of a run of all fast tests, a module that none executed fails the run, unless
`NOT_EXECUTED` says why not.
"""

import ast
import functools
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "equipoise"
NOT_FAST = ("slow", "trial", "long")
NOT_EXECUTED: dict[str, str] = {}
"""Modules that no fast test can execute in the tests' own process, each with the reason."""


@functools.cache
def lines_within_functions() -> dict[str, frozenset[int]]:
    """Per module in which something can be called, as a path relative to the package: the lines of function bodies.

    Defaults, decorators and class bodies run at import and are left out.
    """
    lines = {}
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        bodies = [node.body for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        if bodies:
            within = (range(body[0].lineno, (body[-1].end_lineno or body[-1].lineno) + 1) for body in bodies)
            lines[file.relative_to(PACKAGE).as_posix()] = frozenset(line for body in within for line in body)
    return lines


class ExecutedModules:
    """Collects them in one process; with pytest-xdist, the first process collects what the others saw."""

    def __init__(self) -> None:
        self.observer = coverage.Coverage(data_file=None, config_file=False, source=[str(PACKAGE)], messages=False)
        self.observing = False
        self.others: set[str] = set()
        self.failed = False

    def observe(self, wanted: bool) -> None:
        """Start or stop observing, where that is a change: each change costs milliseconds."""
        if wanted != self.observing:
            (self.observer.start if wanted else self.observer.stop)()
            self.observing = wanted

    @property
    def modules(self) -> set[str]:
        """What has been executed so far, in this process and in those that have ended."""
        data = self.observer.get_data()
        within = lines_within_functions()
        return self.others | {
            name for name, lines in within.items() if lines.intersection(data.lines(str(PACKAGE / name)) or ())
        }

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Observe the fast tests."""
        self.observe(not any(item.get_closest_marker(mark) for mark in NOT_FAST))
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Take what another process saw."""
        self.others |= set(getattr(node, "workeroutput", {}).get("executed_modules", ()))

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
        modules = set(lines_within_functions())
        terminalreporter.write_line(f"fast tests execute {len(modules & self.modules)} of {len(modules)} modules")
        if self.failed:
            for complaint in self.complaints():
                terminalreporter.write_line(complaint, red=True)

    def complaints(self) -> list[str]:
        """One sentence per module that no fast test executes, and per exception that is none any more."""
        missing = set(lines_within_functions()) - self.modules
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
