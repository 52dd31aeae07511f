"""Contract suite of cohorts: check that a trial can split, read, hash and repeat what a function returns."""

import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts import Case, Cohort
from equipoise.cohorts.cohort import IGNORED, Image
from equipoise.errors import EquipoiseError
from equipoise.testing.violation import ContractViolation, clause_of

Factory = Callable[..., Cohort]
MOST_READ = 12
"""Cases whose pixels are read, evenly spaced over the cohort."""
PARTS = (None, "train", "validation", "test")


@dataclass(frozen=True)
class CohortReport:
    """The clauses that were checked and hold.

    Attributes:
        name: the cohort's name.
        clauses: in the order they were checked.
    """

    name: str
    clauses: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(f"{self.name}: {clause}" for clause in self.clauses)


@dataclass(frozen=True)
class _Trial:
    """A function, its path and settings, and the first cohort that it returned."""

    factory: Factory
    path: Path | None
    settings: Mapping[str, Any]
    cohort: Cohort

    @property
    def some(self) -> list[Case]:
        """Return the cases that are read."""
        # Evenly spaced and not the first ones: a layout's exceptions are often in its last folder or class.
        last = len(self.cohort) - 1
        return [self.cohort.cases[int(k)] for k in np.unique(np.linspace(0, last, MOST_READ).round())]

    def violation(self, clause: str, fault: str) -> ContractViolation:
        """Return the error that names the clause and the fault."""
        name = getattr(self.factory, "__name__", repr(self.factory))
        return ContractViolation(f"cohort {name} breaks the clause '{clause}': {fault}.")


def check_cohort(factory: Factory, path: str | Path | None = None, **settings: Any) -> CohortReport:
    """Check that `factory` keeps the contract `(path, **settings) -> Cohort`.

    Args:
        factory: the function that a protocol would name.
        path: some of its data, small if it can be; None where it needs none.
        settings: further keys of the protocol's [cohort] table.

    Raises:
        ContractViolation: the first clause that does not hold.
    """
    place = None if path is None else Path(path)
    cohort = factory(place, **settings)
    trial = _Trial(factory, place, settings, cohort)
    if not isinstance(cohort, Cohort):
        raise trial.violation("Returns an equipoise.Cohort", f"returned {type(cohort).__name__}")
    for clause in CLAUSES:
        clause(trial)
    return CohortReport(cohort.name, tuple(map(clause_of, CLAUSES)))


def _repeatable(trial: _Trial) -> None:
    """Called again, the same cases come in the same order with the same patients, labels and hashes."""
    again = trial.factory(trial.path, **trial.settings)
    if [case.id for case in again.cases] != [case.id for case in trial.cohort.cases]:
        raise trial.violation(clause_of(_repeatable), "the ids or their order differ")
    if again.fingerprint() != trial.cohort.fingerprint():
        raise trial.violation(clause_of(_repeatable), "patients, labels, parts or hashes differ")


def _names(trial: _Trial) -> None:
    """Ids and patients are words, and a part is train, validation, test or None."""
    for case in trial.cohort.cases:
        if not (isinstance(case.id, str) and case.id and isinstance(case.patient, str) and case.patient):
            raise trial.violation(clause_of(_names), f"case {case.id!r} has the patient {case.patient!r}")
        if case.part not in PARTS:
            raise trial.violation(clause_of(_names), f"case {case.id} has the part {case.part!r}")


def _classes(trial: _Trial) -> None:
    """Every class has a case, and regions are made of classes."""
    cohort = trial.cohort
    if cohort.task_record.has_labels:
        empty = [name for name, count in cohort.class_counts().items() if count == 0]
        if empty:
            raise trial.violation(clause_of(_classes), f"class {empty[0]!r} has none")
    for name, members in cohort.regions.items():
        if not members or not set(members) <= set(range(1, len(cohort.classes))):
            raise trial.violation(clause_of(_classes), f"region {name!r} holds {members}")


def _attributes(trial: _Trial) -> None:
    """Attributes are numbers and words, and the size attribute is a number in every case."""
    for case in trial.cohort.cases:
        odd = [key for key, value in case.attributes.items() if not isinstance(value, str | int | float | np.number)]
        if odd:
            raise trial.violation(
                clause_of(_attributes), f"{odd[0]!r} of case {case.id} is {case.attributes[odd[0]]!r}"
            )
        key = trial.cohort.size_attribute
        if key is not None and not isinstance(case.attributes.get(key), int | float | np.number):
            raise trial.violation(clause_of(_attributes), f"case {case.id} has the {key} {case.attributes.get(key)!r}")


def _hashes(trial: _Trial) -> None:
    """A case that was read from files names them with their SHA-256."""
    for case in trial.cohort.cases:
        if trial.path is not None and not case.sha256:
            raise trial.violation(clause_of(_hashes), f"case {case.id} names no file")
        for name, digest in case.sha256.items():
            if not re.fullmatch(r"[0-9a-f]{64}", digest) or Path(name).is_absolute():
                raise trial.violation(clause_of(_hashes), f"case {case.id} has {name!r}: {digest!r}")


def _images(trial: _Trial) -> None:
    """Every image has the cohort's channels and dimensions, finite values and true spacings."""
    channels, dims = len(trial.cohort.channels), trial.cohort.spatial_dims
    for case in trial.some:
        image = _read(trial, case)
        if image.array.shape[0] != channels or image.array.ndim != dims + 1:
            shape_problem = f"case {case.id} has the shape {image.array.shape} for {channels} channels in {dims}D"
            raise trial.violation(clause_of(_images), shape_problem)
        if not np.isfinite(image.array.astype(np.float64)).all():
            raise trial.violation(clause_of(_images), f"case {case.id} has values that are not finite")
        if not all(np.isfinite(value) and value > 0 for value in image.spacing_mm):
            raise trial.violation(clause_of(_images), f"case {case.id} has the spacing {image.spacing_mm}")


def _masks(trial: _Trial) -> None:
    """Where the truth is masks, every case has one of whole numbers that are classes, and no label."""
    if not trial.cohort.task_record.has_masks:
        return
    for case in trial.some:
        mask = _read(trial, case).mask
        if mask is None or not np.issubdtype(mask.dtype, np.integer):
            mask_problem = "no mask" if mask is None else f"a mask of {mask.dtype}"
            raise trial.violation(clause_of(_masks), f"case {case.id} has {mask_problem}")
        mask = mask[mask != IGNORED] if trial.cohort.ignores and (mask != IGNORED).any() else mask
        if mask.min() < 0 or mask.max() >= len(trial.cohort.classes) or case.label is not None:
            mask_problem = (
                f"values {mask.min()} to {mask.max()} for {len(trial.cohort.classes)} classes, label {case.label}"
            )
            raise trial.violation(clause_of(_masks), f"case {case.id} has {mask_problem}")


def _same_again(trial: _Trial) -> None:
    """A case read again, after others and after its pixels were overwritten, is the same."""
    # Overwriting the pixels exposes a cohort that returns views of one shared array: the next reader would see zeros.
    first = [_copied(_read(trial, case)) for case in trial.some]
    for case in trial.some:
        image = _read(trial, case)
        if image.array.flags.writeable:
            image.array[...] = 0
        if image.mask is not None and image.mask.flags.writeable:
            image.mask[...] = 0
    # Backwards, so that a reader whose result depends on the case read before it is caught, too.
    for case, before in zip(trial.some[::-1], first[::-1], strict=True):
        if not _equal(_read(trial, case), before):
            raise trial.violation(clause_of(_same_again), f"case {case.id} differs")


def _travels(trial: _Trial) -> None:
    """A case can be sent to another process and read there."""
    for case in trial.some[:2]:
        try:
            read: Callable[[], Image] = pickle.loads(pickle.dumps(case.read))  # noqa: S301 - made here
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise trial.violation(clause_of(_travels), f"case {case.id}: {error}; use functools.partial") from error
        if not _equal(read(), _read(trial, case)):
            raise trial.violation(clause_of(_travels), f"case {case.id} differs")


def _missing(trial: _Trial) -> None:
    """A path where nothing is gives an EquipoiseError that names it."""
    if trial.path is None:
        return
    nowhere = trial.path.parent / "nothing-lies-here"
    try:
        trial.factory(nowhere, **trial.settings)
    except EquipoiseError as error:
        if nowhere.name not in str(error):
            raise trial.violation(clause_of(_missing), f"its message is {str(error)!r}") from error
    except Exception as error:
        raise trial.violation(clause_of(_missing), f"it raised {type(error).__name__}: {error}") from error
    else:
        raise trial.violation(clause_of(_missing), "it returned a cohort")


def _read(trial: _Trial, case: Case) -> Image:
    image = case.read()
    if not isinstance(image, Image):
        raise trial.violation("Reading a case gives an Image", f"case {case.id} gave {type(image).__name__}")
    return image


def _copied(image: Image) -> tuple[NDArray[Any], NDArray[Any] | None, tuple[float, ...]]:
    return image.array.copy(), None if image.mask is None else image.mask.copy(), image.spacing_mm


def _equal(image: Image, other: Image | tuple[NDArray[Any], NDArray[Any] | None, tuple[float, ...]]) -> bool:
    array, mask, spacing = _copied(other) if isinstance(other, Image) else other
    masks = image.mask is mask is None or (
        image.mask is not None and mask is not None and np.array_equal(image.mask, mask)
    )
    return masks and image.spacing_mm == spacing and np.array_equal(image.array, array)


CLAUSES: tuple[Callable[[_Trial], None], ...] = (
    _names,
    _classes,
    _attributes,
    _hashes,
    _images,
    _masks,
    _same_again,
    _travels,
    _repeatable,
    _missing,
)
