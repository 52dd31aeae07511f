"""Determinism: the same protocol, machine and number of threads give the same bits.

The state of a random generator is never saved: every epoch of every job derives its own streams from the job's name,
so a resumed run draws the same numbers as an uninterrupted one.
"""

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import torch
import torch.utils.deterministic

from equipoise.kernels.build import compiler_version
from equipoise.runfolder.host import host_class

_MEMORY: Any = torch.utils.deterministic  # a module that is an object with settings


def derive(*parts: object) -> int:
    """Return a 63-bit seed that depends on the parts alone.

    >>> derive("densenet", 0, 1) == derive("densenet", 0, 1), derive("a", "bc") == derive("ab", "c")
    (True, False)
    """
    # SHA-256, because Python's hash() of a string differs between processes.
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """Return a CPU generator seeded from the parts."""
    return torch.Generator().manual_seed(derive(*parts))


def device() -> torch.device:
    """Return the device for jobs: the first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_kind(_: object = None) -> str:
    """Return "cuda" or "cpu", as a call of a worker process: the first process of a trial has no torch."""
    return device().type


def device_name() -> str:
    """Return the device's product name, for the record."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu"


def environment(threads: int) -> dict[str, Any]:
    """Return all that decides how a job computes, apart from the protocol: software, device, kernels, threads."""
    cuda: Any = torch.version
    return {
        "python": platform.python_version(),
        "equipoise": version("equipoise"),
        # Plain text: torch's own kind of text would load torch, half a gigabyte, in the process that receives it.
        "torch": str(torch.__version__),
        "numpy": version("numpy"),
        "cuda": cuda.cuda if torch.cuda.is_available() else None,
        "device": device_name(),
        **host_class(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "compiler": compiler_version(),
        "threads": threads,
    }


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Seed torch's global stream (initial weights, dropout) from the parts inside the block; restore it afterwards."""
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(derive(*parts))
        yield


@contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Use deterministic kernels and a fixed number of threads inside the block; restore the settings afterwards."""
    # The number of threads too: it decides how sums are divided, and so their rounding.
    threads_before = torch.get_num_threads()
    before = torch.are_deterministic_algorithms_enabled()
    fill = _MEMORY.fill_uninitialized_memory
    warn_before = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=False)
    _MEMORY.fill_uninitialized_memory = False  # costs 3 to 8 % and guards code that reads garbage
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.use_deterministic_algorithms(before, warn_only=warn_before)
        _MEMORY.fill_uninitialized_memory = fill
