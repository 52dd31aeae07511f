"""What the source `brats` must be told of a folder: modalities that all cases lack, and a coding that masks tell."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.cohorts.formats.reading import read_any
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.brats import NEW_NAMES, ScanFiles, scan_coding, values_by_group
from equipoise.cohorts.layouts.brats_codings import BY_GROUP, CODINGS, SAME_TISSUES

_MOST_READ = 200
_POST_TREATMENT = "2024-post-treatment"


def brats_settings(path: Path, scans: Sequence[ScanFiles], user_settings: Mapping[str, Any]) -> dict[str, Any]:
    """`modalities` where no case has all four, and `coding` where group and masks leave one.

    Raises CohortError where the coding must be user_settings and is not.
    """
    settings: dict[str, Any] = {}
    there = {name for scan in scans for name in scan.by_kind}
    modalities = [old for old, new in NEW_NAMES.items() if {old, new} & there]
    # A modality that some cases lack is a problem of those cases; only one that all lack is a property of the data.
    if modalities and len(modalities) < len(NEW_NAMES):
        settings["modalities"] = modalities
    if "coding" not in user_settings:
        for scan in scans:
            scan_coding(scan, "auto", path)  # asks where it is not certain
        coding = _coding_that_masks_tell(scans)
        if coding is not None:
            settings["coding"] = coding
    return settings


def _coding_that_masks_tell(scans: Sequence[ScanFiles]) -> str | None:
    """The coding after treatment where masks of a group that has it hold both of the values that tell it from others.

    A 4 without any 3 may be the enhancing tumour of 2021 under a new name, so it tells nothing.
    """
    for group, masks in values_by_group(scans).items():
        if group is None or group.upper() not in SAME_TISSUES:
            continue
        values: set[int] = set()
        for mask in masks[:: max(1, -(-len(masks) // _MOST_READ))]:
            try:
                values |= {int(value) for value in np.unique(read_any(mask).array)}
            except RefusedFile:
                continue  # check names it
        if {3, 4} <= values <= set(CODINGS[_POST_TREATMENT].codes) and _POST_TREATMENT in BY_GROUP[group.upper()]:
            return _POST_TREATMENT
    return None
