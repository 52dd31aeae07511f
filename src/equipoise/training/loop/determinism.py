"""Determinism: the same protocol, machine and number of threads give the same bits.

The state of a random generator is never saved: every epoch of every job derives its own streams from the job's name,
so a resumed run draws the same numbers as an uninterrupted one.
"""

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
import torch.utils.deterministic

from equipoise.kernels.build import compiler_version
from equipoise.kernels.cuda_gradients import replace_cuda_gradients
from equipoise.runfolder.cards import number_of
from equipoise.runfolder.host import host_class

_MEMORY: Any = torch.utils.deterministic  # a module that is an object with settings
# cuBLAS reads it with its first product in a process: workspaces of a fixed size make its sums the same every time.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


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
    """Return the device for jobs: a CUDA device where there is one, of several the one of this worker; else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number = number_of(torch.cuda.device_count())
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def device_kind(_: object = None) -> str:
    """Return "cuda" or "cpu", as a call of a worker process: the first process of a trial has no torch."""
    return device().type


def device_name() -> str:
    """Return the device's product name, for the record."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu"


def own_version() -> str:
    """Return the version of this package; "unknown" where it runs from a source tree that was never installed."""
    try:
        return version("equipoise")
    except PackageNotFoundError:
        return "unknown"


def environment(threads: int) -> dict[str, Any]:
    """Return all that decides how a job computes, apart from the protocol: software, device, kernels, threads."""
    cuda: Any = torch.version
    return {
        "python": platform.python_version(),
        "equipoise": own_version(),
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
    tensor_float = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    if torch.cuda.is_available():
        # float32 means float32: TF32, torch's default for convolutions on a graphics card, keeps 10 bits of 23.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        replace_cuda_gradients()
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tensor_float
        torch.set_num_threads(threads_before)
        torch.use_deterministic_algorithms(before, warn_only=warn_before)
        _MEMORY.fill_uninitialized_memory = fill
