"""Segmentation: a class per voxel, evaluated per structure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from equipoise.tasks.task import MASK, CohortLike, Structures, Task

MASK_LOSSES = ("cross-entropy", "dice", "dice-cross-entropy", "focal", "boundary")


def target_regions(classes: Sequence[str], regions: Mapping[str, Sequence[int]]) -> Structures:
    """Return the cohort's regions; without any, every class except the background (index 0) is a region.

    >>> target_regions(["background", "liver", "tumour"], {})
    {'liver': (1,), 'tumour': (2,)}
    """
    if regions:
        return {name: tuple(members) for name, members in regions.items()}
    return {name: (index,) for index, name in enumerate(classes) if index}


def mask_structures(cohort: CohortLike) -> Structures:
    """Return the cohort's regions, or its classes without the background."""
    return target_regions(cohort.classes, cohort.regions)


SEGMENTATION = Task(
    name="segmentation",
    truth=MASK,
    network="segmentation",
    preparation="equipoise.training.preparation.segmentation:PREPARATION",
    training="equipoise.training.tasks.segmentation:TRAINING",
    losses=MASK_LOSSES,
    targets=("classes", "regions"),
    defaults=MappingProxyType(
        {
            "endpoints": {"primary": "dice", "secondary": ("hd95", "surface_dice")},
            "training": {"loss": "dice-cross-entropy"},
        }
    ),
    structures=mask_structures,
)
