"""Which source reads an .npz file, by the names of its arrays and of the table beside it."""

from pathlib import Path
from typing import Any

from equipoise.cohorts.layouts.array_rows import open_arrays, rows
from equipoise.cohorts.layouts.columns import bare
from equipoise.cohorts.layouts.medmnist import refuse_multilabel
from equipoise.cohorts.layouts.recognised import Recognised
from equipoise.cohorts.layouts.tables import read_table
from equipoise.errors import CohortError

LABELS = ("label", "labels", "class", "diagnosis", "target", "y")
PATIENTS = ("patient", "patients", "patient_id", "subject", "subject_id", "group", "groups")
"""Names of arrays and columns that hold the class and the patient of every case, the likeliest first."""


def recognise_arrays(path: Path) -> Recognised | None:
    """Recognise MedMNIST, or images with labels or masks; None for other arrays.

    Raises CohortError for several labels per image.
    """
    names = open_arrays(path).names
    if {"train_images", "train_labels"} <= set(names):
        # ChestMNIST has 14 labels per image; `init` must say so, or it writes a protocol that `check` refuses.
        refuse_multilabel(path, rows(path, "train_labels"))
        parts = {"val_images", "test_images"} <= set(names)
        return Recognised("medmnist", "classification", "given" if parts else "holdout", patients_known=False)
    if "images" not in names:
        return None
    table = path.with_suffix(".csv")
    columns = [*names, *(read_table(table)[0] if table.is_file() else ())]
    label = _first(LABELS, columns)
    mask = "masks" if "masks" in names else None
    if label is None and mask is None:
        return None
    if label in names and rows(path, label).ndim > 1 and rows(path, label).shape[1:] != (1,):
        raise CohortError(
            f"{path} has an array {label!r} of shape {rows(path, label).shape}: several labels per image; save "
            f"the one that "
            "is meant as an array or a column of its own."
        )
    settings: dict[str, Any] = {"images": "images", "table": table.name if table.is_file() else None}
    settings |= {"labels": label} if label else {"masks": mask}
    settings["groups"] = _first(PATIENTS, columns)
    kept = {key: value for key, value in settings.items() if value is not None}
    return Recognised("arrays", "classification" if label else "segmentation", "holdout", "groups" in kept, kept)


def _first(known: tuple[str, ...], names: list[str]) -> str | None:
    """Return the name that is the likeliest of those known, capitals and signs aside."""
    # The names are reversed because the last entry of a dictionary wins: of two names that are alike without capitals
    # and signs, the first is meant, and arrays stand before columns.
    by_name = {bare(name): name for name in reversed(names)}
    return next((by_name[bare(name)] for name in known if bare(name) in by_name), None)
