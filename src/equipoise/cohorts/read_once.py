"""Read images once that are needed several times: the cases on which a trial first tries its arms."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from equipoise.cohorts.cohort import Case, Cohort, Image


@dataclass
class ReadOnce:
    """Read an image at the first call, and return the same one until it is released."""

    read: Callable[[], Image]
    image: Image | None = None

    def __call__(self) -> Image:
        """Return the image."""
        if self.image is None:
            self.image = self.read()
        return self.image


def read_once(cohort: Cohort, indices: Iterable[int]) -> Cohort:
    """Return the cohort with its cases at `indices` read once until `release_images`; all must fit into memory."""
    chosen = set(map(int, indices))
    cases = (
        replace(case, read=ReadOnce(case.read)) if index in chosen else case for index, case in enumerate(cohort.cases)
    )
    return replace(cohort, cases=tuple(cases))


def seen_by(cohort: Cohort, indices: Iterable[int], look: Callable[[Case, Image], object]) -> Cohort:
    """Return the cohort; `look` is called with each case at `indices` and its image whenever the image is read."""
    chosen = set(map(int, indices))

    def reading(case: Case) -> Image:
        """Read a case and show its image to the watcher."""
        # A callback and not a second read: the observer gets each image while it is in memory.
        image = case.read()
        look(case, image)
        return image

    cases = (
        replace(case, read=partial(reading, case)) if index in chosen else case
        for index, case in enumerate(cohort.cases)
    )
    return replace(cohort, cases=tuple(cases))


def release_images(cohort: Cohort) -> None:
    """Free the images that `read_once` kept; a later call reads the image again."""
    for case in cohort.cases:
        if isinstance(case.read, ReadOnce):
            case.read.image = None
