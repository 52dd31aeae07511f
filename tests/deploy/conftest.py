"""Fixtures of bundles."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from deploy_bundles import make_bundle


@pytest.fixture(scope="session")
def pristine_bundle(tmp_path_factory):
    """A segmenter of two regions in volumes, whole images; nobody may change it."""
    return make_bundle(tmp_path_factory.mktemp("pristine") / "bundle")


@pytest.fixture
def bundle(pristine_bundle, tmp_path):
    """The same, to change."""
    return Path(shutil.copytree(pristine_bundle, tmp_path / "bundle"))
