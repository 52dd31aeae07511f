#!/usr/bin/env python3
"""Set up Equipoise in .venv with nothing but Python, then run it.

usage: python3 start.py demo [OPTIONS]     install what running needs, then run `equipoise demo`
       python3 start.py test [--slow]      install what testing needs as well, then run every check
       python3 start.py test --fast        the same within 90 s of processor time: no types, no whole trials
       python3 start.py docs [--out DIR]   install what the documentation needs as well, then build the site
       python3 start.py COMMAND [OPTIONS]  any other command of `equipoise`

       python3 start.py --cpu …            before any of them, at the first call: torch without its GPU libraries,
                                           1.4 GB in place of 5.9 GB on Linux. Delete .venv to change that later
"""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
BIN = ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin")
CPU_ONLY = "torch without its GPU libraries\n"
"""First line of the stamp of an environment that was made with --cpu."""
_TORCH = re.compile(r"^(torch|torchvision)==([\w.]+)", re.MULTILINE)
_GPU = re.compile(r"^(?:torch|torchvision|triton|nvidia-[\w-]+|cuda-[\w-]+)==[^\n]*(?:\n +[^\n]*)*\n", re.MULTILINE)


def call(*command: str | Path, folder: Path | None = ROOT) -> None:
    """Run one command, by default in the project's folder; stop with its exit code when it fails."""
    result = subprocess.run([str(part) for part in command], cwd=folder, check=False)
    if result.returncode:
        sys.exit(result.returncode)


def wanted(pins: str) -> str:
    """What an environment must have been made from to be up to date."""
    return "".join((ROOT / name).read_text() for name in (f"requirements/{pins}.txt", "pyproject.toml"))


def stamp_of(pins: str) -> str:
    """What the stamp of these pins in .venv holds; empty without one."""
    stamp = ENVIRONMENT / f"installed-{pins}.txt"
    return stamp.read_text() if stamp.is_file() else ""


def installed(pins: str) -> bool:
    """Whether .venv holds these pins as they stand now, with or without GPU libraries."""
    return stamp_of(pins).removeprefix(CPU_ONLY) == wanted(pins)


def is_cpu_only() -> bool:
    """Whether .venv was made with --cpu."""
    return any(stamp_of(pins).startswith(CPU_ONLY) for pins in ("run", "dev"))


def without_gpu(pins: str) -> tuple[str, list[str]]:
    """Divide pins into those that need no GPU build, as they stand, and the CPU builds of torch to install."""
    return _GPU.sub("", pins), [f"{name}=={version}+cpu" for name, version in _TORCH.findall(pins)]


def install(pins: str, cpu: bool = False) -> None:
    """Bring .venv to the hashed pins in requirements/<pins>.txt."""
    python = BIN / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    for old in ENVIRONMENT.glob("installed-*.txt"):
        old.unlink()
    uv_pins = ROOT / "requirements" / "uv.txt"
    call(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", uv_pins)
    file = ROOT / "requirements" / f"{pins}.txt"
    # Elsewhere than on Linux the pinned builds of torch are CPU builds already.
    if cpu and sys.platform == "linux":
        plain, builds = without_gpu(file.read_text())
        file = ENVIRONMENT / f"pins-{pins}-cpu.txt"
        file.write_text(plain)
        install_cpu_builds(python, builds)
    uv = [python, "-m", "uv", "--quiet", "pip"]
    # `install`, not `sync`: pip and uv stay; the pins name every dependency, so none is resolved anew
    # Where Python may not keep what it compiles, every process that loads torch would compile it anew, for seconds.
    compiled = ["--compile-bytecode"] if sys.dont_write_bytecode else []
    call(*uv, "install", *compiled, "--python", python, "--no-deps", "--require-hashes", "-r", file)
    call(*uv, "install", "--python", python, "--no-deps", "--no-build-isolation", "--editable", ".")
    (ENVIRONMENT / f"installed-{pins}.txt").write_text((CPU_ONLY if cpu else "") + wanted(pins))


def install_cpu_builds(python: Path, builds: list[str]) -> None:
    """Install the CPU builds of torch, from PyTorch's own index unless the user names another place for uv."""
    own_place = any(os.environ.get(name) for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_DEFAULT_INDEX"))
    backend = [] if own_place else ["--torch-backend", "cpu"]
    command = [python, "-m", "uv", "--quiet", "pip", "install", "--python", python, "--no-deps", *backend, *builds]
    if subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode:
        sys.exit(
            f"{' and '.join(builds)} could not be installed. Behind a proxy or without PyTorch's index, set "
            "UV_FIND_LINKS to a folder or a page that holds the wheels; or leave out --cpu, which takes the build with "
            "GPU libraries."
        )


def main() -> None:
    """Install what the command needs, then run it."""
    if sys.version_info < (3, 11):
        sys.exit(f"Equipoise needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    cpu = "--cpu" in sys.argv[1:]
    arguments = [one for one in sys.argv[1:] if one != "--cpu"]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.exit((__doc__ or "").strip())
    if cpu and sys.platform == "linux" and not is_cpu_only() and any(map(stamp_of, ("run", "dev"))):
        sys.exit(f"{ENVIRONMENT} was made with torch's GPU libraries; delete it, then run the same command again.")
    cpu = cpu or is_cpu_only()
    if arguments[0] == "test":
        if not installed("dev"):
            install("dev", cpu)
        call(BIN / "python", "tests/check.py", *arguments[1:])
        return
    if not (installed("run") or installed("dev")):
        install("run", cpu)
    if arguments[0] == "docs":
        if not installed("dev"):  # whose pins hold those of the documentation
            python = BIN / "python"
            pinned = ["--no-deps", "--require-hashes", "-r", "requirements/docs.txt"]
            call(python, "-m", "uv", "--quiet", "pip", "install", "--python", python, *pinned)
        call(BIN / "python", ROOT / "docs" / "site" / "build.py", *arguments[1:], folder=None)
    else:
        call(BIN / "equipoise", *arguments, folder=None)


if __name__ == "__main__":
    main()
