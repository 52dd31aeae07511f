"""What the repository holds: sources and texts, no binaries that somebody's tool left in it."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 400_000
"""Above every list of pinned packages, and below a package."""


def test_no_tracked_file_is_large() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in done.stdout.split("\0") if name]
    large = [str(file) for file in files if file.is_file() and file.stat().st_size > MOST_BYTES]
    assert not large, f"tracked by accident, or to be fetched by the test that needs it: {large}"
