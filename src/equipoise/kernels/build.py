"""Compile and load the package's C files at first use where the machine has a C compiler; no file stays on disk."""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from equipoise.errors import EquipoiseError, Interrupted

SOURCES = Path(__file__).parent
_ATTEMPTS = 3
# No -ffast-math and no fused multiply-add: the code rounds as torch does, one operation at a time. -march=native is
# safe because a library is built where it runs and never kept. Without -fno-trapping-math gcc leaves a branch on the
# sign of every value where vectors have no masks (AVX2), and normalisation takes several times as long.
_FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")


def compiler() -> str | None:
    """Return the C compiler's command, from the environment variable CC or `cc`; None where neither is installed."""
    command = os.environ.get("CC") or "cc"
    return command if shutil.which(shlex.split(command)[0]) else None


@cache
def compiler_version() -> str | None:
    """Return the first line of what the C compiler says of itself; None without one."""
    command = compiler()
    if command is None:
        return None
    question = [*shlex.split(command), "--version"]
    try:
        done = subprocess.run(question, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 (as `build`)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.splitlines() or [""])[0] or None


def _compiled(arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run the compiler, again where something other than its input may have ended it; return the last try."""
    for attempt in range(1, _ATTEMPTS + 1):
        # The compiler that the user's environment names, on our own file.
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603
        if not _was_ended(done) or attempt == _ATTEMPTS:
            break
    return done


def _was_ended(done: "subprocess.CompletedProcess[str]") -> bool:
    """Return whether a signal ended the compiler, or the program that it started (gcc reports that in words)."""
    return done.returncode < 0 or (done.returncode > 0 and "signal terminated program" in done.stderr)


def build(source: Path, *definitions: str, otherwise: str, parallel: bool = False) -> ctypes.CDLL:
    """Compile a C file and load it, in about half a second.

    Args:
        source: the file.
        definitions: names for the preprocessor, as "COUNT=int8_t".
        otherwise: what the user can do without a compiler, for the error message.
        parallel: whether it has OpenMP loops; they share torch's threads where torch has OpenMP too.

    Raises:
        EquipoiseError: without a compiler, or where it fails, with the first line of its output.
        Interrupted: where the compiler is ended from outside, again and again: without the kernel this process would
            compute with other roundings than those before it.
    """
    command = compiler()
    if command is None:
        raise EquipoiseError(f"There is no C compiler here to build {source.name}; set CC or {otherwise}.")
    # A new folder for each process: a shared cache would have to survive concurrent writers, other compilers and other
    # processors, to save half a second. A loaded library stays mapped after its file is removed.
    with tempfile.TemporaryDirectory(prefix="equipoise-") as folder:
        library = Path(folder) / "kernel.so"
        arguments = [*shlex.split(command), *_FLAGS, *(f"-D{name}" for name in definitions)]
        arguments += ["-fopenmp"] if parallel else []
        arguments += ["-o", str(library), str(source), "-lm"]
        done = _compiled(arguments)
        if _was_ended(done):
            raise Interrupted(
                f"{command} was ended from outside while it built {source.name}, {_ATTEMPTS} times, as when memory "
                "runs out; run the same command again"
            )
        if done.returncode:
            reason = (done.stderr.strip() or "no message").splitlines()[0]
            raise EquipoiseError(f"{command} could not build {source.name} ({reason}); {otherwise}.")
        # CDLL, not PyDLL: it releases the interpreter's lock during each call, so that threads run in parallel.
        return ctypes.CDLL(str(library))
