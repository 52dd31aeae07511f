"""Fixtures of bundles."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from deploy_bundles import make_bundle


@pytest.fixture
def bundle(tmp_path):
    """A segmenter of two regions in volumes, whole images."""
    return make_bundle(tmp_path / "bundle")
