"""Prepare cases with masks one by one, each with the record that leads back to its own grid."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Cohort
from equipoise.errors import CohortError
from equipoise.preprocessing.cache import apply_cached
from equipoise.preprocessing.pipeline import Pipeline, Record


@dataclass(frozen=True)
class MaskCase:
    """One prepared case.

    image: float32 (channel, *prepared grid); target: mask or soft targets there, as in `Prepared`.
    truth: uint8 class per voxel on the case's own grid, whose spacing is `spacing_mm`; record leads back to it.
    """

    index: int
    image: NDArray[np.float32]
    target: NDArray[Any]
    truth: NDArray[np.uint8]
    spacing_mm: tuple[float, ...]
    record: Record


def prepare_each(cohort: Cohort, indices: Iterable[int], pipeline: Pipeline) -> Iterator[MaskCase]:
    """Yield every case in the order of `indices`; one is in memory at a time.

    Raises CohortError for a case without its mask or with values that are not finite.
    """
    for index in indices:
        case = cohort.cases[index]
        image = case.read()
        prepared = apply_cached(image, pipeline, len(cohort.classes))
        if image.mask is None or prepared.target is None:
            raise CohortError(f"case {case.id} of cohort {cohort.name} has no mask; exclude it, or give its mask")
        if not np.isfinite(prepared.image).all():
            raise CohortError(f"case {case.id} has values that are not finite; correct or exclude it")
        # A volume of int64 classes would take twice the memory of its image; uint8 takes a quarter.
        target = prepared.target if prepared.target.dtype == np.float32 else prepared.target.astype(np.uint8)
        truth = image.mask.astype(np.uint8)
        yield MaskCase(int(index), prepared.image, target, truth, image.spacing_mm, prepared.record)
