"""Rules of intensities and augmentation."""

import re
from math import ceil, floor
from typing import Any

from equipoise.configuration.fingerprint import Fingerprint
from equipoise.configuration.modality import CT, PICTURE

COARSE_HU = 50
"""A window's limits are multiples of this, so that no single case moves them."""
LEAST_HU = 100
FEW_CASES = 60
"""Below this number of cases deformations and noise are added, for a network may otherwise learn the cases by heart."""
_SIDES = re.compile(r"(^|[^a-z])(left|right|l|r|lt|rt)([^a-z]|$)", re.IGNORECASE)


def scale_of(data: Fingerprint) -> Any:
    """Return preprocessing.scale: a window for CT, the range of a picture, else the z-score of each case.

    CT has one unit everywhere, so its values are kept, within what the foreground holds; the numbers of MR mean
    nothing from one scan to the next (Isensee et al. 2021).
    """
    if data.modality == CT:
        low, high = (floor(data.window[0] / COARSE_HU), ceil(data.window[1] / COARSE_HU))
        return {"window_hu": [COARSE_HU * low, COARSE_HU * max(high, low + LEAST_HU // COARSE_HU)]}
    return "unit" if data.modality == PICTURE else "zscore"


def augmentation_of(data: Fingerprint) -> dict[str, Any]:
    """Return [augmentation]: turns, zoom and brightness always, flips where sides mean nothing, more for few cases."""
    settings: dict[str, Any] = {"rotate_degrees": 15, "scale": [0.9, 1.1]}
    flips = flips_of(data)
    if flips:
        settings["flip"] = flips
    if data.modality not in (CT, PICTURE):
        settings["gamma"] = [0.8, 1.25]
    if data.cases < FEW_CASES:
        settings |= {"elastic": 0.05, "noise": 0.1}
    optional = {"gamma": 0.3, "elastic": 0.3, "noise": 0.2}
    shares = {step: share for step, share in optional.items() if step in settings}
    return settings | ({"probability": shares} if shares else {})


def flips_of(data: Fingerprint) -> list[str]:
    """Return the axes to mirror: left and right of pictures; none of volumes, nor where a class has a side.

    Scans lie alike, and in a short training every pose that does not occur costs some of it: measured, see the docs.
    """
    if data.dims == 3 or any(_SIDES.search(name.replace("_", " ")) for name in data.class_names):
        return []
    return ["horizontal"]
