"""Images as rows of an array, what is known of them as rows of a table: any .npz with a CSV of the same order."""

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Image, Problem
from equipoise.cohorts.formats.checksums import sha256
from equipoise.cohorts.layouts.array_rows import AXES, axes_of, open_arrays, read_row, rows
from equipoise.cohorts.layouts.class_labels import class_names, class_of, is_missing
from equipoise.cohorts.layouts.patients import ALONE
from equipoise.cohorts.layouts.tables import number_or_text, read_table
from equipoise.cohorts.layouts.volumes import channel_names
from equipoise.errors import CohortError, ProtocolError
from equipoise.tasks import CLASSIFICATION, task_named

UNLABELLED = -1
"""In place of a class index, for a row without a label; None is for a label that equals the threshold."""
Truth = tuple[list[int | None], tuple[tuple[int, int], ...], tuple[str, ...]]


def arrays(
    path: str | Path,
    *,
    images: str,
    labels: str | None = None,
    masks: str | None = None,
    groups: str | None = None,
    groups_are_guesses: bool = False,
    table: str | None = None,
    case: str | None = None,
    threshold: float | None = None,
    subtract: str | None = None,
    spacing_mm: str | float | None = None,
    axes: str | None = None,
    classes: Sequence[str] | None = None,
    size_attribute: str | None = None,
    on_problem: str = "stop",
    task: str = CLASSIFICATION.name,
) -> Cohort:
    """Make a cohort from the arrays of an .npz file (or one .npy) and a CSV table whose rows stand in the same order.

    images, masks: names of arrays. labels, groups, case: names of columns of the table or of arrays, for the class,
        the patient and the case's id; without groups every case is its own patient, and the report says so.
    groups_are_guesses: the groups are not known patients (runs of similar slices, say); the report says so.
    table: the CSV file, relative to `path`; its other columns become attributes.
    threshold: labels above it are the second class, below it the first; labels equal to it are excluded.
    subtract: a column whose value is taken from every pixel (an offset of stored values to Hounsfield units).
    spacing_mm: one number, or the column that holds each case's in-plane spacing; without it, lengths are in pixels.
    axes: meaning of the images' axes where the shape leaves doubt, such as "nzyx"; see `array_rows.AXES`.
    classes: names in the order of the label values; for masks, index → name of the stored values in their order.
    size_attribute: the column that a trivial size rule may use.
    on_problem: "stop" or "exclude" for rows without a label.
    Errors: ProtocolError for an impossible setting, CohortError for names that are missing or lengths that differ.
    """
    _check_choice(on_problem)
    source = _Source(Path(path), read_table(Path(path).parent / table) if table else [])
    pixels = source.array(images)
    meaning, count = axes_of(pixels, axes, images), source.checked_length(len(pixels))
    labelled = not task_named(task).has_masks
    if labelled:
        truth, codes, names = _labels(source, labels, threshold, classes, count)
    else:
        truth, codes, names = _mask_classes(source, masks, pixels.shape, meaning, classes)
    known = source.rows_of_table(case, groups, 1.0 if spacing_mm is None else spacing_mm, subtract, count)
    hashes = source.hashes(table)
    digest, mask_key = open_arrays(source.path).sha256, None if labelled else masks
    read = partial(read_row, source.path, digest, images, axes=meaning, mask_key=mask_key, codes=codes)
    dims, channels = AXES[meaning], pixels.shape[meaning.index("c")] if "c" in meaning else 1
    holes = _rows_with_holes(pixels)
    excluded, problems = _set_aside(known, truth, holes, labels, source.path, on_problem)
    return Cohort(
        name=source.path.stem,
        task=task,
        cases=tuple(_cases(known, truth if labelled else None, read, dims, hashes, holes)),
        classes=names,
        channels=channel_names(channels),
        spatial_dims=dims,
        excluded=excluded,
        problems=problems,
        notes=_notes(groups, groups_are_guesses),
        patients_known=groups is not None and not groups_are_guesses,
        patients_guessed=groups is not None and groups_are_guesses,
        size_attribute=size_attribute,
        spacing_stated=spacing_mm is not None,
    )


def _set_aside(
    known: Sequence["_Row"],
    truth: Sequence[int | None],
    holes: Mapping[int, int],
    labels: str | None,
    path: Path,
    on_problem: str,
) -> tuple[tuple[Exclusion, ...], tuple[Problem, ...]]:
    """Return the rows that are left out, and those that stop a run unless problems are excluded too."""
    equal = tuple(_equal(row, labels) for row, label in zip(known, truth, strict=True) if label is None)
    unsound = list(_unsound(known, truth, holes, labels))
    if on_problem == "exclude":
        return (*equal, *(Exclusion(row.id, row.patient, reason) for row, reason in unsound)), ()
    return equal, tuple(_problem(row, reason, path) for row, reason in unsound)


def _check_choice(on_problem: str) -> None:
    if on_problem not in ("stop", "exclude"):
        raise ProtocolError(f'cohort.on_problem is {on_problem!r}; choose "stop" or "exclude"')


def _rows_with_holes(pixels: NDArray[Any]) -> dict[int, int]:
    """Map a row to how many of its values are NaN or infinite, for the rows that hold any."""
    if pixels.dtype.kind != "f":
        return {}
    # Rows are counted one by one, since a test of the whole array would hold one more byte for each of its values.
    counts = ((index, row.size - int(np.isfinite(row).sum())) for index, row in enumerate(pixels))
    return {index: count for index, count in counts if count}


def _unsound(
    known: Sequence["_Row"], truth: Sequence[int | None], holes: Mapping[int, int], labels: str | None
) -> Iterator[tuple["_Row", str]]:
    """Return the rows without a label or with values that are not finite, and what is wrong with them."""
    for index, (row, label) in enumerate(zip(known, truth, strict=True)):
        if label is UNLABELLED:
            yield row, f"it has no {labels}"
        elif label is not None and index in holes:
            yield row, f"{holes[index]} of its values are NaN or infinite"


def _problem(row: "_Row", reason: str, path: Path) -> Problem:
    return Problem(row.id, str(path), reason, "correct it, or leave the row out")


@dataclass(frozen=True)
class _Row:
    """What is known of one case beside its pixels; offset is the stored value of zero."""

    id: str
    patient: str
    spacing_mm: float
    offset: float
    attributes: Mapping[str, Any]


def _cases(
    known: Sequence[_Row],
    truth: Sequence[int | None] | None,
    read: Callable[..., Image],
    dims: int,
    hashes: Mapping[str, str],
    left_out: Container[int],
) -> Iterator[Case]:
    """Return the cases of all rows, without those whose truth is None; truth is None where it lies in the masks."""
    for index, row in enumerate(known):
        if index not in left_out and (truth is None or truth[index] not in (None, UNLABELLED)):
            yield Case(
                id=row.id,
                patient=row.patient,
                read=partial(read, index, spacing_mm=(row.spacing_mm,) * dims, minus=row.offset),
                label=None if truth is None else truth[index],
                attributes=row.attributes,
                sha256=hashes,
            )


def _notes(groups: str | None, guesses: bool) -> tuple[str, ...]:
    if not groups:
        return (f"No groups were named: every case {ALONE}.",)
    return (f"Patients are guesses: the groups {groups!r} stand in for the patient ids.",) if guesses else ()


def _equal(row: _Row, labels: str | None) -> Exclusion:
    return Exclusion(row.id, row.patient, f"its {labels} equals the threshold")


@dataclass(frozen=True)
class _Source:
    """The file of arrays and the rows of its table; a name means a column first, then an array."""

    path: Path
    table: list[dict[str, str]]

    def array(self, name: str) -> NDArray[Any]:
        """Return the array of that name."""
        if name not in open_arrays(self.path).names:
            listed = ", ".join(open_arrays(self.path).names)
            raise CohortError(f"{self.path} has no array {name!r}, only {listed}; correct the name.")
        return rows(self.path, name)

    def checked_length(self, count: int) -> int:
        """Return the number of images; a table of another length is refused."""
        if self.table and len(self.table) != count:
            raise CohortError(
                f"{self.path} holds {count} images and its table {len(self.table)} rows; give one row each."
            )
        return count

    def texts(self, name: str, count: int) -> list[str]:
        """Return one text per case from the column or array of that name."""
        if self.table and name in self.table[0]:
            return [row[name] for row in self.table]
        values = self.array(name).reshape(-1).tolist()
        if len(values) != count:
            raise CohortError(f"{self.path} holds {count} images and {len(values)} values of {name!r}; give one each.")
        return [str(value) for value in values]

    def numbers(self, name: str | float, count: int) -> NDArray[np.float64]:
        """Return one finite number per case, from a column or array, or the same for all."""
        if not isinstance(name, str):
            return np.full(count, float(name))
        return _numbers(self.texts(name, count), name, self.path)

    def rows_of_table(
        self, case: str | None, groups: str | None, spacing_mm: str | float, subtract: str | None, count: int
    ) -> list[_Row]:
        """Return one row per case, in order; ids are row numbers and patients ids where no column is named."""
        ids = self.texts(case, count) if case else [f"row-{index:06d}" for index in range(count)]
        patients = self.texts(groups, count) if groups else ids
        nameless = [row for row, patient in enumerate(patients) if is_missing(patient)]
        if nameless:
            raise CohortError(
                f"{len(nameless)} rows of {self.path} have no {groups}, first row {nameless[0]}; fill it in, because "
                "rows without a patient would all count as one."
            )
        spacings, offsets = self.numbers(spacing_mm, count).tolist(), self.numbers(subtract or 0.0, count).tolist()
        known = [{key: number_or_text(value) for key, value in row.items()} for row in self.table or [{}] * count]
        columns = zip(ids, patients, spacings, offsets, map(MappingProxyType, known), strict=True)
        return [_Row(*values) for values in columns]

    def hashes(self, table: str | None) -> Mapping[str, str]:
        """Return the SHA-256 of the file and of its table, by name."""
        digests = {self.path.name: open_arrays(self.path).sha256}
        return MappingProxyType(digests | ({table: sha256(self.path.parent / table)} if table else {}))


def _numbers(texts: Sequence[str], name: str, path: Path) -> NDArray[np.float64]:
    values = [number_or_text(text) for text in texts]
    wrong = [value for value in values if not isinstance(value, float) or not math.isfinite(value)]
    if wrong:
        raise CohortError(f"{name!r} of {path} holds {wrong[0]!r} where a number belongs; correct it.")
    return np.array(values, dtype=np.float64)


def _labels(
    source: _Source, labels: str | None, threshold: float | None, classes: Sequence[str] | None, count: int
) -> Truth:
    """Class index per case (None: equal to the threshold; UNLABELLED: none), no mask values, and the class names."""
    if labels is None:
        raise ProtocolError("cohort.labels is missing; name the column or array that holds each case's class")
    texts = source.texts(labels, count)
    # Labels stored as floats with NaN once gave the classes 1.0, nan and 0.0, in this order, and every check passed.
    missing = [is_missing(text, tuple(classes or ())) for text in texts]
    indices: list[int | None]
    if threshold is not None:
        # The 0 only keeps the rows aligned; such rows become UNLABELLED below.
        values = _numbers(
            [("0" if gone else text) for text, gone in zip(texts, missing, strict=True)], labels, source.path
        )
        names = tuple(classes) if classes else ("low", "high")
        indices = [None if value == threshold else int(value > threshold) for value in values]
        needed = 2
    else:
        kinds = class_names((text for text, gone in zip(texts, missing, strict=True) if not gone), str(source.path))
        names = tuple(classes) if classes else kinds
        # Stated classes either put the stored values in another order or give them new names in their own order.
        order = names if set(kinds) <= set(names) else kinds
        indices = [
            None if gone else order.index(str(class_of(text, order))) for text, gone in zip(texts, missing, strict=True)
        ]
        needed = len(kinds)
    indices = [UNLABELLED if gone else index for index, gone in zip(indices, missing, strict=True)]
    if len(names) != needed or needed < 2:
        raise ProtocolError(
            f"{labels!r} holds {needed} classes and cohort.classes names {len(names)}; name at least two, each once"
        )
    return indices, (), names


def _mask_classes(
    source: _Source, masks: str | None, shape: tuple[int, ...], axes: str, classes: Sequence[str] | None
) -> Truth:
    """Zero per case, (stored value, class index) pairs in the order of the values, and names, background first."""
    if masks is None:
        raise ProtocolError("cohort.masks is missing; name the array that holds the masks")
    stored = source.array(masks)
    needed = tuple(size for size, axis in zip(shape, axes, strict=True) if axis != "c")
    if stored.shape != needed:
        raise CohortError(
            f"{masks!r} of {source.path} has the shape {stored.shape} and the images need {needed}; correct it."
        )
    values = np.unique(stored).tolist()
    if any(value != int(value) or value < 0 for value in values) or len(values) < 2:
        raise CohortError(
            f"{masks!r} of {source.path} holds the values {values[:5]}; save whole class numbers from 0 on."
        )
    names = tuple(classes) if classes else ("background", *(f"label {value}" for value in values[1:]))
    if len(names) != len(values):
        raise ProtocolError(
            f"{masks!r} holds {len(values)} values and cohort.classes names {len(names)}; name each once"
        )
    return [0] * shape[0], tuple((int(value), index) for index, value in enumerate(values)), names
