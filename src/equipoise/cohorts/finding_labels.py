"""Convert masks to findings: relevant ones, and irrelevant ones that are ignored; each connected part is one finding.

A detection cohort's masks have three classes: 0 background, 1 relevant, 2 irrelevant. A source with masks of other
classes can be used as well: all its foreground is relevant, apart from a class that it names "irrelevant".
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np

from equipoise.cohorts.cohort import IGNORED, Case, Cohort, Image
from equipoise.errors import CohortError
from equipoise.tasks import DETECTION

SOUGHT, IRRELEVANT = 1, 2
IRRELEVANT_CLASS = "irrelevant"


def as_detection(cohort: Cohort, task: str = DETECTION.name) -> Cohort:
    """Convert a cohort with masks to a detection cohort, without its regions; keeps masks of the three classes.

    task: the name of a task whose truth is findings.

    Raises CohortError where the classes are background and irrelevant alone.
    """
    sought = [name for name in cohort.classes[1:] if name != IRRELEVANT_CLASS]
    if not sought:
        raise CohortError(f"cohort {cohort.name} has no class to detect, only {', '.join(cohort.classes)}")
    classes = (cohort.classes[0], sought[0] if len(sought) == 1 else "finding", IRRELEVANT_CLASS)
    as_they_are = cohort.classes == classes and not cohort.ignores
    cases = cohort.cases if as_they_are else _with_three_classes(cohort.cases, cohort.classes)
    return replace(cohort, task=task, classes=classes, cases=cases, regions=MappingProxyType({}), ignores=False)


def _with_three_classes(cases: Sequence[Case], classes: Sequence[str]) -> tuple[Case, ...]:
    codes = tuple(
        IRRELEVANT if name == IRRELEVANT_CLASS else SOUGHT if index else 0 for index, name in enumerate(classes)
    )
    return tuple(replace(case, read=partial(_read, case.read, codes)) for case in cases)


def _read(read: Callable[[], Image], codes: tuple[int, ...]) -> Image:
    """Read the image and recode the classes of its mask; a case without a mask stays without.

    Unlabelled voxels become irrelevant: a candidate there is neither a hit nor a false positive.
    """
    # A table lookup: recoding class by class could recode a voxel twice.
    image = read()
    if image.mask is None:
        return image
    meaning = np.zeros(IGNORED + 1, np.uint8)
    meaning[: len(codes)], meaning[IGNORED] = codes, IRRELEVANT
    return replace(image, mask=meaning[image.mask])
