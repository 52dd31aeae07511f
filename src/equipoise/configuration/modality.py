"""What kind of images a cohort holds, from the names of its channels and from its intensities."""

import re
from collections.abc import Sequence

import numpy as np

CT, MR, PICTURE, OTHER = "CT", "MR", "picture", "other"
_CT = re.compile(r"(^|[^a-z])(ct|hu|cta|ncct|cect|hounsfield)([^a-z]|$)", re.IGNORECASE)
_MR = re.compile(
    r"(^|[^a-z])(mri?|t1|t2|t1c|t1ce|t1n|t1w|t1gd|t2w|t2f|flair|adc|dwi|pd|swi|mprage)([^a-z]|$)", re.IGNORECASE
)
_AIR = -500.0
"""CT holds air near −1000 HU; no other scanner's scale goes as low."""
_BYTE = 255.0

Levels = Sequence[Sequence[Sequence[float]]]


def modality(channels: Sequence[str], levels: Levels, values: Sequence[int]) -> str:
    """Return "CT" or "MR" where all channels are of it, "picture" for 8 bits, else "other".

    levels: per case and channel the 1st percentile, median and 99th percentile; values: distinct values per case.

    >>> modality(["T1", "FLAIR"], [], []), modality(["image"], [[[-1000.0, 20.0, 300.0]]], [900])
    ('MR', 'CT')
    """
    for kind, names in ((CT, _CT), (MR, _MR)):
        if all(names.search(_apart(name)) for name in channels):
            return kind
    if not levels:
        return OTHER
    middle = np.median(np.array(levels), axis=0)  # (channels, 3)
    if (middle[:, 0] <= _AIR).all():
        return CT
    high, extremes = middle[:, 2].max(), np.array(levels)[..., (0, 2)]
    within_a_byte = extremes.min() >= 0 and extremes.max() <= _BYTE and max(values) <= _BYTE + 1
    # Floats from 0 to 1 are no bytes; pictures that are wholly black are.
    return PICTURE if within_a_byte and not 0 < high <= 1 else OTHER


def _apart(name: str) -> str:
    return name.replace("_", " ")
