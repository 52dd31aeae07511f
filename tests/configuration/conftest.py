"""Invented cohorts: fingerprints of images that nobody has."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from equipoise.configuration.fingerprint import Fingerprint
from equipoise.configuration.modality import MR


def made(*shapes: tuple[int, ...], spacing: Any = 1.0, **facts: Any) -> Fingerprint:
    """A segmentation of 100 MR volumes, with other facts where stated; shapes and spacing may differ by case."""
    sizes = np.array(shapes, np.int64)
    spacings = np.broadcast_to(np.asarray(spacing, np.float64), sizes.shape)
    usual: dict[str, Any] = {
        "masks": True, "findings": False, "cases": 100, "patients": 100, "channels": ("T1",),
        "class_names": ("background", "tumour"), "modality": MR, "spacing_stated": True, "window": (0.0, 1.0),
        "foreground": 0.05, "rarest": 0.05,
    }  # fmt: skip
    return Fingerprint(shapes=sizes, spacings=spacings, **(usual | facts))


@pytest.fixture
def invented() -> Callable[..., Fingerprint]:
    """Make the fingerprint of an invented cohort."""
    return made
