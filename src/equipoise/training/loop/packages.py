"""The installed packages behind an arm: whose classes its network and its optimizer are made of, what own code imports.

Their versions decide the numbers as torch's does: a network of timm has other layers, or other initial weights, in
another version.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from types import ModuleType
from typing import Any

from torch import nn

from equipoise.runfolder.job import Job

_RECORDED = frozenset(("equipoise", "torch", "numpy", "scipy"))
"""Recorded for every trial, whatever its arms are."""


def packages_of(job: Job, model: nn.Module, optimizer: object) -> dict[str, str]:
    """Return the versions of the packages behind a job's network, its optimizer and code of the user's own, by name.

    job: its modules of the user's own are imported already. A package without an installed version is not named.
    """
    classes = {base for part in (*model.modules(), optimizer) for base in type(part).__mro__}
    named = (job.arm.model.name, job.arm.optimizer.name, job.task, job.training.loss)
    own = {name.partition(":")[0] for name in named if isinstance(name, str) and ":" in name}
    return versions_of({*(one.__module__ for one in classes), *own, *_imports(own)})


def versions_of(modules: Iterable[str]) -> dict[str, str]:
    """Return the versions of the distributions that hold these modules, sorted; torch and Python's own are left out.

    >>> versions_of(["json", "torch.nn", "no_such_module"])
    {}
    """
    names = {distribution for module in modules for distribution in _distributions(module.partition(".")[0])}
    return {name: number for name in sorted(names) if (number := _version(name)) is not None}


def _imports(modules: Iterable[str]) -> set[str]:
    """Return the modules that these ones, and others beside them of no package, take something from."""
    waiting, seen = list(modules), set[str]()
    while waiting:
        name = waiting.pop()
        first = name.partition(".")[0]
        if name in seen:
            continue
        seen.add(name)
        # A package's own imports are its distribution's matter.
        if first in _RECORDED or first in sys.stdlib_module_names or _distributions(first):
            continue
        values = vars(sys.modules[name]).values() if name in sys.modules else ()
        waiting += [one for value in values if (one := _home(value))]
    return seen


def _home(value: Any) -> str:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return name if isinstance(name, str) else ""


def _distributions(first: str) -> Sequence[str]:
    """Return the distributions that hold a package, or module, of this first name."""
    if first in _RECORDED or first in sys.stdlib_module_names:
        return ()
    return _installed().get(first, ())


@cache
def _installed() -> Mapping[str, Sequence[str]]:
    return packages_distributions()  # half a second, and only for arms that are not built in


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
