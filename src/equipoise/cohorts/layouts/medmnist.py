"""MedMNIST files as they are downloaded: one .npz with images and labels of the official parts.

Reference: Yang et al., "MedMNIST v2", Scientific Data 2023. The files state no patients.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Case, Cohort
from equipoise.cohorts.layouts.array_rows import AXES, axes_of, image_rows, open_arrays, read_row, rows
from equipoise.cohorts.layouts.patients import ALONE
from equipoise.cohorts.layouts.volumes import channel_names
from equipoise.errors import CohortError, ProtocolError

# PneumoniaMNIST has 8 images that train and validation share, and 18 that recur inside train. Official parts are kept
# as they are, because published numbers rest on them; the search for leaks names such images and refuses the run unless
# the protocol allows leaks.
OFFICIAL = {"train": "train", "val": "validation", "test": "test"}


def medmnist(
    path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    parts: str = "official",
    groups: str | None = None,
    axes: str | None = None,
) -> Cohort:
    """Make a classification cohort from a MedMNIST file with train_images, train_labels, val_… and test_….

    classes: names in the order of the label numbers; by default "0", "1" ….
    parts: "official" keeps the file's own parts for split.scheme = "given"; "none" forgets them, to split anew.
    groups: suffix of arrays that say which patient each image is of (train_<groups> …), where a file has them;
        without, every image counts as its own patient, and the report says so.
    axes: of the images; "nzyx" and "nyxc" are told apart by themselves, "nzyxc" is not.
    Errors: ProtocolError for an impossible setting; CohortError for missing arrays or several labels per image.
    """
    if parts not in ("official", "none"):
        raise ProtocolError(f'cohort.parts is {parts!r}; choose "official" or "none"')
    file = Path(path)
    opened = open_arrays(file)
    parts_there = [part for part in OFFICIAL if f"{part}_images" in opened.names]
    if not parts_there:
        raise CohortError(
            f"{file} has the arrays {', '.join(opened.names)}; MedMNIST files have train_images and others."
        )
    labels = {part: _labels(file, part) for part in parts_there}
    names = _classes(classes, np.concatenate(list(labels.values())), file)
    first = image_rows(file, f"{parts_there[0]}_images")
    meaning = axes_of(
        first, axes or ("nzyx" if first.ndim == 4 and first.shape[-1] > 3 else None), f"{parts_there[0]}_images"
    )
    cases = tuple(
        case for part in parts_there for case in _cases(file, part, labels[part], meaning, groups, parts == "official")
    )
    note = "" if groups else f"MedMNIST states no patients: every image {ALONE}."
    return Cohort(
        name=file.stem,
        task="classification",
        cases=cases,
        classes=names,
        channels=channel_names(first.shape[meaning.index("c")] if "c" in meaning else 1),
        spatial_dims=AXES[meaning],
        notes=(note,) if note else (),
        patients_known=groups is not None,
        spacing_stated=False,
    )


def refuse_multilabel(file: Path, labels: NDArray[Any]) -> None:
    """Refuse several labels per image (ChestMNIST): a verdict is about one."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise CohortError(f"{file} has {labels.shape[1]} labels per image; choose one of them and save it as a column.")


def _labels(file: Path, part: str) -> NDArray[np.int64]:
    labels, images = rows(file, f"{part}_labels"), image_rows(file, f"{part}_images")
    refuse_multilabel(file, labels)
    # Labels stored as floats are refused, for a NaN among them would become some whole number.
    if len(labels) != len(images) or labels.dtype.kind not in "bui":
        raise CohortError(f"{file} has {len(images)} {part}_images and {len(labels)} {part}_labels; correct the file.")
    return labels.reshape(-1).astype(np.int64)


def _classes(classes: Sequence[str] | None, labels: NDArray[np.int64], file: Path) -> tuple[str, ...]:
    names = tuple(classes) if classes else tuple(str(index) for index in range(int(labels.max()) + 1))
    if labels.min() < 0 or labels.max() >= len(names):
        raise CohortError(
            f"{file} has labels from {labels.min()} to {labels.max()} for {len(names)} classes; name them all."
        )
    return names


def _cases(
    file: Path, part: str, labels: NDArray[np.int64], axes: str, groups: str | None, official: bool
) -> Iterator[Case]:
    patients: Any = rows(file, f"{part}_{groups}").reshape(-1) if groups else None
    if patients is not None and len(patients) != len(labels):
        raise CohortError(
            f"{file} has {len(labels)} {part}_images and {len(patients)} {part}_{groups}; correct the file."
        )
    digest = open_arrays(file).sha256
    hashes = MappingProxyType({file.name: digest})
    # The files state no spacing, so lengths are in pixels.
    spacing = (1.0,) * AXES[axes]
    for index, label in enumerate(labels.tolist()):
        case = f"{part}-{index:06d}"
        yield Case(
            id=case,
            patient=case if patients is None else str(patients[index]),
            read=partial(read_row, file, digest, f"{part}_images", index, axes, spacing),
            label=label,
            part=OFFICIAL[part] if official else None,
            sha256=hashes,
        )
