"""Two BraTS cases as a cohort: a network learns the first by heart and is scored on the second."""

from dataclasses import replace
from pathlib import Path

from equipoise.cohorts import Cohort
from equipoise.cohorts.sources import brats


def cohort(path: Path) -> Cohort:
    """The first case trains and chooses the epoch, the second tests: a proof that the road works, not of quality."""
    found = brats(path)
    first, second = found.cases[:2]
    again = replace(first, id=f"{first.id}-again", part="validation")
    return replace(found, cases=(replace(first, part="train"), again, replace(second, part="test")))
