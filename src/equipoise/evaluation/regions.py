"""Regions: the evaluated structures, each a set of a mask's classes; they may overlap (BraTS: WT, TC, ET)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from equipoise._moved import attributes_of
from equipoise.cohorts.cohort import IGNORED

Mask = NDArray[np.bool_]
if not TYPE_CHECKING:  # a type checker would take every name for one of this module
    __getattr__ = attributes_of(__name__, "equipoise.tasks.segmentation")


def region_masks(labels: NDArray[np.integer], regions: Mapping[str, Sequence[int]]) -> dict[str, Mask]:
    """Return a mask per region from a class per voxel."""
    return {name: np.isin(labels, members) for name, members in regions.items()}


def labelled_only(masks: Mapping[str, Mask], truth: NDArray[np.integer]) -> dict[str, Mask]:
    """Answers without the voxels that nobody labelled, which then count neither as hits nor as errors."""
    unlabelled = truth == IGNORED
    return {name: mask & ~unlabelled for name, mask in masks.items()} if unlabelled.any() else dict(masks)


def membership(classes: int, regions: Mapping[str, Sequence[int]]) -> NDArray[np.float32]:
    """Return 1 where a class belongs to a region, else 0: (regions, classes)."""
    # A matrix, so that class probabilities become those of overlapping regions by one product.
    table = np.zeros((len(regions), classes), dtype=np.float32)
    for row, members in zip(table, regions.values(), strict=True):
        row[list(members)] = 1
    return table
