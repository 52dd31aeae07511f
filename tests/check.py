"""Every check of the project in one go: style, types, floors, tests. `python3 start.py test` calls it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def main() -> None:
    """Run every check, stop at the first that fails."""
    marks = [] if "--slow" not in sys.argv else ["-m", "slow or not slow"]
    workers = str(min(4, os.cpu_count() or 1))
    commands = [
        [BIN / "ruff", "format", "--check", "."],
        [BIN / "ruff", "check", "."],
        [sys.executable, ROOT / "tests" / "words.py"],
        [BIN / "mypy"],
        [BIN / "lint-imports"],
        [sys.executable, "-m", "pytest", "-q", "-n", workers, "--dist", "loadfile", *marks],
    ]
    environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    for command in commands:
        print("$", *command, flush=True)
        result = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=False)
        if result.returncode:
            sys.exit(result.returncode)


if __name__ == "__main__":
    main()
