"""Small C files of our own, built at first use where the machine has a C compiler; nothing is left on disk."""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from equipoise.errors import EquipoiseError

SOURCES = Path(__file__).parent
# No -ffast-math and no fused multiply-add: what is built rounds as torch does, one operation at a time. Without
# -fno-trapping-math gcc leaves a branch on the sign of every value where vectors have no masks (AVX2).
_FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")


def compiler() -> str | None:
    """The C compiler's command: that of the environment variable CC, else `cc`; None where there is none."""
    command = os.environ.get("CC") or "cc"
    return command if shutil.which(shlex.split(command)[0]) else None


def build(source: Path, *definitions: str, otherwise: str, parallel: bool = False) -> ctypes.CDLL:
    """Compile a C file and load it, in about half a second.

    Args:
        source: the file.
        definitions: names for the preprocessor, as "COUNT=int8_t".
        otherwise: what the user can do without a compiler, for the refusal.
        parallel: whether it has OpenMP loops; they share torch's threads where torch has OpenMP too.

    Raises:
        EquipoiseError: where there is no compiler, or it fails, with the first line it printed.
    """
    command = compiler()
    if command is None:
        raise EquipoiseError(f"There is no C compiler here to build {source.name}; set CC or {otherwise}.")
    with tempfile.TemporaryDirectory(prefix="equipoise-") as folder:
        library = Path(folder) / "kernel.so"
        arguments = [*shlex.split(command), *_FLAGS, *(f"-D{name}" for name in definitions)]
        arguments += ["-fopenmp"] if parallel else []
        done = subprocess.run(  # noqa: S603 (the compiler the user's environment names, on our own file)
            [*arguments, "-o", str(library), str(source), "-lm"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr.strip() or "no message").splitlines()[0]
            raise EquipoiseError(f"{command} could not build {source.name} ({reason}); {otherwise}.")
        return ctypes.CDLL(str(library))
