"""Every check of the project in one go: style, floors, types, tests. `python3 start.py test` calls it.

usage: python3 start.py test           every check but the tests marked slow: what continuous integration runs
       python3 start.py test --fast    style, floors and the tests that are not marked slow, trial or long, in one
                                       process: at most 90 s of processor time, and every module is called into
       python3 start.py test --slow    every check, and the tests marked slow as well

--fast leaves out mypy, which takes half of that time where its cache is empty; whole trials (marked trial); and tests
of a tenth of a second and more (marked long). It uses one process, because each more would import torch and collect the
tests anew. A module that no fast test calls into fails every variant: see tests/executed_modules.py.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
VARIANTS = ("--fast", "--slow")
STYLE = [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["words"], ["lint-imports"]]
TESTS = ["pytest", "-q", "-p", "executed_modules"]


def commands(variant: str | None) -> list[list[str]]:
    """What a variant runs, in this order: the quickest to fail first."""
    if variant == "--fast":
        return [*STYLE, [*TESTS, "-m", "not slow and not trial and not long"]]
    marks = ["-m", "slow or not slow"] if variant == "--slow" else []
    workers = str(min(4, os.cpu_count() or 1))
    return [*STYLE, ["mypy"], [*TESTS, "-n", workers, "--dist", "loadfile", *marks]]


def processor_seconds() -> float:
    """User and system time of every command that has ended, with its children; nan where it cannot be known."""
    try:
        import resource
    except ImportError:
        return float("nan")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run every check of the variant, stop at the first that fails."""
    arguments = sys.argv[1:]
    if "-h" in arguments or "--help" in arguments:
        sys.exit((__doc__ or "").strip())
    if len(arguments) > 1 or not set(arguments) <= set(VARIANTS):
        sys.exit(f"{' '.join(arguments)} is not understood; allowed: one of {', '.join(VARIANTS)}, or nothing.")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    places = os.pathsep.join([str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])  # for the plugin
    environment = os.environ | threads | {"PYTHONPATH": places}
    # compiling the tests and what they import anew costs 25 s of processor time, a third of what --fast may take
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for name, *rest in commands(arguments[0] if arguments else None):
        command = [sys.executable, "-m", name] if name in ("pytest", "words") else [str(BIN / name)]
        print("$", *command, *rest, flush=True)
        result = subprocess.run([*command, *rest], cwd=ROOT, env=environment, check=False)
        if result.returncode:
            sys.exit(result.returncode)
    print(f"every check passed, in {processor_seconds():.0f} s of processor time")


if __name__ == "__main__":
    main()
