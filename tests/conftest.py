"""What every test may ask for."""

import os
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EQUIPOISE_CACHE", tempfile.mkdtemp(prefix="equipoise-tests-"))  # not the user's own
os.environ.setdefault("EQUIPOISE_CORES", "1")  # tests run side by side; each trial takes one worker


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real, openly licensed images beside the project; tests that need it skip without it."""
    folder = Path(os.environ.get("EQUIPOISE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real images are not at {folder}; set EQUIPOISE_DATA to their folder")
    return folder
