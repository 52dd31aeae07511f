"""Which source reads the files found at a path: by names, a CSV's header, dataset.json and an npz's list."""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equipoise.errors import CohortError

KNOWN = (
    "a BraTS folder, an nnU-Net or Medical Decathlon folder (dataset.json), a CSV manifest, a MedMNIST .npz, "
    "LIDC-IDRI with its XML files, or a folder per class"
)
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".nii.gz", ".dcm")
_LOOKED_AT = 5_000  # names below a folder before the search gives up


@dataclass(frozen=True)
class Recognised:
    """The source that fits, with what a protocol needs to say beside its path.

    patients_known: whether the layout states which cases belong to one patient.
    """

    source: str
    task: str
    spatial_dims: int
    scheme: str = "holdout"
    patients_known: bool = True
    settings: dict[str, Any] = field(default_factory=dict)


def recognise(path: Path) -> Recognised:
    """The source whose layout lies at `path`; CohortError says what was looked for where none does."""
    if path.is_file():
        found = _file(path)
    elif path.is_dir():
        found = _folder(path)
    else:
        raise CohortError(f"{path} does not exist; give the folder or file that holds the data")
    if found is None:
        raise CohortError(f"{path} has no layout that is recognised; known are {KNOWN}; or write a manifest.csv")
    return found


def _file(path: Path) -> Recognised | None:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", errors="replace") as file:
            header = file.readline().strip().split(",")
        known = "patient" in header
        if "mask" in header and "label" not in header:
            return Recognised("manifest", "segmentation", 3, patients_known=known)
        return Recognised("manifest", "classification", 2, patients_known=known) if "label" in header else None
    if path.suffix == ".npz" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
        if {"train_images", "train_labels"} <= names:
            parts = {"val_images", "test_images"} <= names
            return Recognised("medmnist", "classification", 2, "given" if parts else "holdout", False)
    return None


def _folder(path: Path) -> Recognised | None:
    if (path / "dataset.json").is_file():
        try:
            description = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise CohortError(f"{path / 'dataset.json'} is not valid JSON ({error}); mend it") from error
        listed = isinstance(description, dict) and isinstance(description.get("training"), list)
        return Recognised("decathlon" if listed else "nnunet", "segmentation", 3, patients_known=False)
    names = _names(path)
    if any(name.lower().startswith("brats") and name.endswith((".nii", ".nii.gz")) for name in names):
        return Recognised("brats", "segmentation", 3)
    if (path / "manifest.csv").is_file():
        return _file(path / "manifest.csv")
    if any(name.endswith(".xml") for name in names) and any(name.endswith(".dcm") for name in names):
        return Recognised("lidc", "classification", 3, settings={"label": "malignancy"})
    filled = [child for child in path.iterdir() if child.is_dir() and _has_picture(child)]
    return Recognised("folders", "classification", 2, patients_known=False) if len(filled) > 1 else None


def _names(path: Path) -> list[str]:
    found = []
    for file in path.rglob("*"):
        found.append(file.name)
        if len(found) == _LOOKED_AT:
            break
    return found


def _has_picture(folder: Path) -> bool:
    return any(file.name.lower().endswith(_PICTURES) for file in folder.rglob("*") if file.is_file())
