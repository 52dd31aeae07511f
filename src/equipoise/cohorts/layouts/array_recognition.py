"""Which source reads an .npz file, by the names of its arrays and of the table beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from equipoise.cohorts.layouts.array_rows import open_arrays, rows
from equipoise.cohorts.layouts.columns import bare
from equipoise.cohorts.layouts.medmnist import refuse_multilabel
from equipoise.cohorts.layouts.recognised import Recognised
from equipoise.cohorts.layouts.tables import read_table
from equipoise.errors import CohortError
from equipoise.lookup import nearest

LABELS = ("label", "labels", "class", "diagnosis", "target", "y")
PATIENTS = ("patient", "patients", "patient_id", "subject", "subject_id", "group", "groups")
"""Names of arrays and columns that hold the class and the patient of every case, the likeliest first."""


def recognise_arrays(path: Path, user_settings: Mapping[str, Any] | None = None) -> Recognised:
    """Recognise MedMNIST, or images with labels or masks.

    user_settings: `images`, `labels` and `masks`, the names of arrays that have others than these.
    Raises CohortError for several labels per image, and for arrays whose names say nothing.
    """
    user_settings = user_settings or {}
    names = open_arrays(path).names
    if {"train_images", "train_labels"} <= set(names):
        # ChestMNIST has 14 labels per image; `init` must say so, or it writes a protocol that `check` refuses.
        refuse_multilabel(path, rows(path, "train_labels"))
        parts = {"val_images", "test_images"} <= set(names)
        return Recognised("medmnist", "classification", "given" if parts else "holdout", patients_known=False)
    images = str(user_settings.get("images", "images"))
    table = path.with_suffix(".csv")
    columns = [*names, *(read_table(table)[0] if table.is_file() else ())]
    mask = _stated("masks", user_settings, columns) or ("masks" if "masks" in names else None)
    label = _stated("labels", user_settings, columns) or (
        None if "masks" in user_settings else _first(LABELS, [name for name in columns if name != images])
    )
    if images not in names or (label is None and mask is None):
        label_name = names[-1] if names[1:] else "NAME"
        raise CohortError(
            f"{path} holds the arrays {', '.join(names[:12])}, whose names do not show which hold the images and "
            f"their labels or masks; name them: `equipoise init {quote(str(path))} --set images={names[0]} --set "
            f"labels={label_name}`, or masks in place of labels."
        )
    if label in names and rows(path, label).ndim > 1 and rows(path, label).shape[1:] != (1,):
        raise CohortError(
            f"{path} has an array {label!r} of shape {rows(path, label).shape}: several labels per image; save "
            f"the one that "
            "is meant as its own array or column."
        )
    settings: dict[str, Any] = {"images": images, "table": table.name if table.is_file() else None}
    settings |= {"labels": label} if label else {"masks": mask}
    settings["groups"] = _first(PATIENTS, columns)
    kept = {key: value for key, value in settings.items() if value is not None}
    return Recognised("arrays", "classification" if label else "segmentation", "holdout", "groups" in kept, kept)


def _stated(role: str, user_settings: Mapping[str, Any], names: Sequence[str]) -> str | None:
    name = user_settings.get(role)
    if name is not None and name not in names:
        raise CohortError(
            f"cohort.{role} is {name!r}, which is not an array or column; {nearest(str(name), list(names))}"
        )
    return None if name is None else str(name)


def _first(known: tuple[str, ...], names: list[str]) -> str | None:
    """Return the name that is the likeliest of those known, capitals and signs aside."""
    # The names are reversed because the last entry of a dictionary wins: of two names that are alike without capitals
    # and signs, the first is meant, and arrays stand before columns.
    by_name = {bare(name): name for name in reversed(names)}
    return next((by_name[bare(name)] for name in known if bare(name) in by_name), None)
