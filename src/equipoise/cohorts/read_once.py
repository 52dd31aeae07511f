"""Images that are read once and needed several times: the cases on which a trial first tries its arms."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from equipoise.cohorts.cohort import Case, Cohort, Image


@dataclass
class ReadOnce:
    """Reads an image when first called, and gives the same one again until it is let go."""

    read: Callable[[], Image]
    image: Image | None = None

    def __call__(self) -> Image:
        """The image."""
        if self.image is None:
            self.image = self.read()
        return self.image


def read_once(cohort: Cohort, indices: Iterable[int]) -> Cohort:
    """The cohort, its cases at `indices` read once until `let_go`; meant for as many as memory holds besides."""
    chosen = set(map(int, indices))
    cases = (
        replace(case, read=ReadOnce(case.read)) if index in chosen else case for index, case in enumerate(cohort.cases)
    )
    return replace(cohort, cases=tuple(cases))


def seen_by(cohort: Cohort, indices: Iterable[int], look: Callable[[Case, Image], object]) -> Cohort:
    """The cohort; `look` is called with each of its cases at `indices`, and the image, whenever one is read."""
    chosen = set(map(int, indices))

    def reading(case: Case) -> Image:
        image = case.read()
        look(case, image)
        return image

    cases = (
        replace(case, read=partial(reading, case)) if index in chosen else case
        for index, case in enumerate(cohort.cases)
    )
    return replace(cohort, cases=tuple(cases))


def let_go(cohort: Cohort) -> None:
    """Free the images that `read_once` kept; a case is read again if it is asked for again."""
    for case in cohort.cases:
        if isinstance(case.read, ReadOnce):
            case.read.image = None
