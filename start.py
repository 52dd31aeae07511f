#!/usr/bin/env python3
"""Set up Equipoise in .venv with nothing but Python, then run it.

usage: python3 start.py demo [OPTIONS]     install what running needs, then run `equipoise demo`
       python3 start.py test [--slow]      install what testing needs as well, then run every check
       python3 start.py test --fast        the same within 90 s of processor time: no types, no whole trials
       python3 start.py COMMAND [OPTIONS]  any other command of `equipoise`
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
BIN = ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin")


def call(*command: str | Path, folder: Path | None = ROOT) -> None:
    """Run one command, by default in the project's folder; stop with its exit code when it fails."""
    result = subprocess.run([str(part) for part in command], cwd=folder, check=False)
    if result.returncode:
        sys.exit(result.returncode)


def wanted(pins: str) -> str:
    """What an environment must have been made from to be up to date."""
    return "".join((ROOT / name).read_text() for name in (f"requirements/{pins}.txt", "pyproject.toml"))


def installed(pins: str) -> bool:
    """Whether .venv holds these pins as they stand now."""
    stamp = ENVIRONMENT / f"installed-{pins}.txt"
    return stamp.is_file() and stamp.read_text() == wanted(pins)


def install(pins: str) -> None:
    """Bring .venv to the hashed pins in requirements/<pins>.txt."""
    python = BIN / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    for old in ENVIRONMENT.glob("installed-*.txt"):
        old.unlink()
    uv_pins = ROOT / "requirements" / "uv.txt"
    call(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", uv_pins)
    uv = [python, "-m", "uv", "--quiet", "pip"]
    # `install`, not `sync`: pip and uv stay; the pins name every dependency, so none is resolved anew
    pinned = ["install", "--python", python, "--no-deps", "--require-hashes", "-r", f"requirements/{pins}.txt"]
    call(*uv, *pinned)
    call(*uv, "install", "--python", python, "--no-deps", "--no-build-isolation", "--editable", ".")
    (ENVIRONMENT / f"installed-{pins}.txt").write_text(wanted(pins))


def main() -> None:
    """Install what the command needs, then run it."""
    if sys.version_info < (3, 11):
        sys.exit(f"Equipoise needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.exit((__doc__ or "").strip())
    if arguments[0] == "test":
        if not installed("dev"):
            install("dev")
        call(BIN / "python", "tests/check.py", *arguments[1:])
    else:
        if not (installed("run") or installed("dev")):
            install("run")
        call(BIN / "equipoise", *arguments, folder=None)


if __name__ == "__main__":
    main()
