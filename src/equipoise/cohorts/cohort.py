"""Patients, cases and cohorts, and the conventions of arrays, units and orientation that all sources follow.

Arrays are ordered (channel, z, y, x) in 3D and (channel, y, x) in 2D; masks have no channel axis. Spacings are in
millimetres, in the order of the spatial axes. World coordinates are RAS+ millimetres: an affine is 4 × 4 and maps the
homogeneous voxel index (x, y, z, 1) to (right, anterior, superior, 1). Volumes are stored so that index x grows to the
patient's right, y to anterior and z to superior as nearly as the scan's own grid allows (no resampling).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import CohortError
from equipoise.tasks import Task, task_named

# The highest value of 8 bits leaves all others to classes, and masks stay a byte per voxel.
IGNORED = 255
"""Mask value of an unlabelled voxel, which is excluded from training and evaluation."""


@dataclass(frozen=True)
class Image:
    """One case's pixels, and its mask on the same grid.

    array: (channel, z, y, x) or (channel, y, x), any real dtype, intensities in the source's own unit.
    spacing_mm: one per spatial axis, in array order.
    mask: integer class per voxel, or IGNORED; shape of one channel; None where the task has no mask.
    affine: 4 × 4, voxel (x, y, z, 1) → RAS+ mm; None without world coordinates (PNG, 2D crops).
    """

    array: NDArray[Any]
    spacing_mm: tuple[float, ...]
    mask: NDArray[np.integer[Any]] | None = None
    affine: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse an array, spacing and mask whose shapes do not fit together."""
        if self.array.ndim not in (3, 4):
            raise CohortError(
                f"an image needs the axes (channel, y, x) or (channel, z, y, x), found shape {self.array.shape}; "
                "add the missing axis"
            )
        if len(self.spacing_mm) != self.array.ndim - 1:
            raise CohortError(
                f"{len(self.spacing_mm)} spacings were given for {self.array.ndim - 1} spatial axes; give one per axis"
            )
        if self.mask is not None and self.mask.shape != self.array.shape[1:]:
            raise CohortError(
                f"the mask has shape {self.mask.shape}, its image {self.array.shape[1:]}; "
                "resample the mask to the image's grid"
            )


@dataclass(frozen=True)
class Case:
    """One image, nodule or volume with its truth; pixels are read only when `read` is called.

    label: index into the cohort's classes (classification), else None.
    part: "train", "validation" or "test" where the source has official parts, else None.
    attributes: facts besides the pixels (diameter_mm, site, sex and others), for subgroups and size rules.
    sha256: of every file that the case is read from, by file name.
    truth_files: the names of those that hold its truth and nothing of its image (masks).
    owners: the owner of the image by its files' own headers ("patient", "study"), whatever a table says; the search
        for leaks compares them too.
    true_name: the case's own name where `id` and `patient` are pseudonyms, else None; it stands in no output.
    """

    id: str
    patient: str
    # Two readers of one file are never equal as objects, so they do not count where cases are compared.
    read: Callable[[], Image] = field(repr=False, compare=False)
    label: int | None = None
    part: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    sha256: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    owners: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    true_name: str | None = field(default=None, repr=False)
    truth_files: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Remark:
    """An unusual property of files and its interpretation, as `equipoise check` and the report show it.

    files: the number of files with this property; first: the first of them, empty where it is not to be named.
    """

    text: str
    files: int
    first: str

    def __str__(self) -> str:
        """Return text such as "it was turned upright as its EXIF orientation says (3 files, first a.jpg)"."""
        first = f", first {self.first}" if self.first else ""
        return f"{self.text} ({self.files} file{'' if self.files == 1 else 's'}{first})"


@dataclass(frozen=True)
class Exclusion:
    """A case that the source holds and the cohort leaves out, with the reason; the report counts it.

    file: the file that is the reason, empty where there is none or it is not to be named.
    """

    case: str
    patient: str
    reason: str
    file: str = ""

    def __str__(self) -> str:
        """Return the reason behind its file, such as "a.png: it ends early"."""
        return f"{self.file}: {self.reason}" if self.file else self.reason


@dataclass(frozen=True)
class Problem:
    """A problem with one case of a source, as `equipoise check` lists it."""

    case: str
    file: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class Cohort:
    """Cases of one task with their classes, in a fixed order.

    task: the name of one of `equipoise.tasks.TASKS`, or `module:attribute` of one's own.
    classes: class names; a case's label, or a mask's value, is an index into them (0 is background in masks).
    channels: a name per channel (modalities, or the slices' planes).
    regions: overlapping targets by name as sets of mask values (BraTS: WT, TC, ET); empty for plain classes.
    patients_known: False where the source has no patient ids. patients_guessed: they were then guessed, from image
        similarity or by the source; the report says so.
    size_attribute: the attribute of the trivial size baseline (nodule diameter in mm), None where there is none.
    ignores: whether masks may hold IGNORED, for unlabelled voxels.
    spacing_stated: False where no case's file states a spacing: it is then 1, and lengths are in pixels.
    mask_values: what the masks store for each class, where it is one number of a byte and the same in all files; else
        empty.
    recipe: a hash of the built-in source and its settings; with the hashes of a case's files it determines what `read`
        returns, so that a case may be kept in the user's cache. None for a user's own source, which may change.
    unshown: attributes that no output shows, and that a task of one's own may need as truth.
    joined: other spellings of patients' names → the one that the cases have.
    known_fingerprint: that of the cohort before its cases were given pseudonyms; None where they have their own names.
    """

    name: str
    task: str
    cases: tuple[Case, ...]
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    spatial_dims: int
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))
    excluded: tuple[Exclusion, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    patients_known: bool = True
    patients_guessed: bool = False
    size_attribute: str | None = None
    remarks: tuple[Remark, ...] = ()
    ignores: bool = False
    spacing_stated: bool = True
    mask_values: tuple[int, ...] = ()
    recipe: str | None = None
    unshown: frozenset[str] = frozenset()
    joined: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    known_fingerprint: str | None = None

    def __post_init__(self) -> None:
        """Refuse a cohort without cases, with repeated ids, or with labels outside its classes."""
        if not self.cases:
            raise CohortError(f"cohort {self.name} has no case; check the path and the label settings")
        # Predictions of all arms are joined by the case's id; a repeated id would pair wrong rows.
        repeated = [case for case, n in Counter(case.id for case in self.cases).items() if n > 1]
        if repeated:
            raise CohortError(
                f"cohort {self.name} has {len(repeated)} case ids more than once, first {repeated[0]!r}; "
                "give every case its own id"
            )
        labelled = self.task_record.has_labels
        for case in self.cases:
            if labelled and (case.label is None or not 0 <= case.label < len(self.classes)):
                raise CohortError(
                    f"case {case.id} of cohort {self.name} has label {case.label!r}, "
                    f"the classes are {', '.join(self.classes)}; correct or exclude the case"
                )

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def task_record(self) -> Task:
        """The record of the cohort's task."""
        return task_named(self.task)

    @cached_property
    def patients(self) -> NDArray[np.str_]:
        """The patient of each case, in the order of the cases."""
        return np.array([case.patient for case in self.cases])

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The class index of each case; -1 where a case has none."""
        return np.array([-1 if case.label is None else case.label for case in self.cases], dtype=np.int64)

    def class_counts(self, indices: Iterable[int] | None = None) -> dict[str, int]:
        """Count cases per class, with all classes, of the whole cohort or of the cases at `indices`."""
        chosen = self.labels if indices is None else self.labels[np.fromiter(indices, dtype=np.int64)]
        return {name: int(np.sum(chosen == index)) for index, name in enumerate(self.classes)}

    def fingerprint(self) -> str:
        """Return the SHA-256 over ids, patients, labels, parts and file hashes; it changes when the data change."""
        if self.known_fingerprint is not None:
            return self.known_fingerprint
        # File hashes stand for the pixels, which would have to be decoded.
        digest = hashlib.sha256(f"{self.name}|{self.task}|{self.classes}|{self.channels}".encode())
        for case in self.cases:
            digest.update(f"{case.id}|{case.patient}|{case.label}|{case.part}|{sorted(case.sha256.items())}".encode())
        return digest.hexdigest()
