"""Where the files lie that nnU-Net, MONAI and MedMNIST wrote."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def made() -> Path:
    return Path(__file__).parent / "files"
