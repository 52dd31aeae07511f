"""Which source reads the files found at a path: by names, a CSV's header, dataset.json and an npz's list."""

import itertools
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from equipoise.cohorts.formats.reading import is_image
from equipoise.cohorts.layouts.array_rows import open_arrays
from equipoise.cohorts.layouts.folders import PARTS
from equipoise.cohorts.layouts.manifest import image_columns, read_table
from equipoise.errors import CohortError

KNOWN = (
    "a BraTS folder, an nnU-Net or Medical Decathlon folder (dataset.json), a CSV manifest, an .npz of MedMNIST or "
    "with images and labels or masks, LIDC-IDRI with its XML files, or a folder per class"
)
LABELS = ("label", "labels", "class", "diagnosis", "target", "y")
PATIENTS = ("patient", "patients", "patient_id", "subject", "subject_id", "group", "groups")
"""Names of arrays and columns that hold the class and the patient of every case, the likeliest first."""
_MASKS = {"mask", "masks", "label", "labels", "segmentation", "segmentations", "labelsTr", "annotations"}
_LOOKED_AT = 5_000  # names below a folder before the search gives up
_PROBED = 12


@dataclass(frozen=True)
class Recognised:
    """The source that fits, with what a protocol needs to say beside its path.

    patients_known: whether the layout states which cases belong to one patient.
    images, masks: some of the files, evenly spaced, for a look at their sizes and values.
    """

    source: str
    task: str
    scheme: str = "holdout"
    patients_known: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    images: tuple[Path, ...] = ()
    masks: tuple[Path, ...] = ()


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


def _some(files: Iterable[Path]) -> tuple[Path, ...]:
    """At most a dozen of the files, evenly spaced."""
    listed = sorted(files)
    return tuple(listed[:: max(1, -(-len(listed) // _PROBED))])


def _file(path: Path) -> Recognised | None:
    if path.suffix == ".csv":
        return _manifest(path)
    return _arrays(path) if path.suffix == ".npz" and zipfile.is_zipfile(path) else None


def _manifest(path: Path) -> Recognised | None:
    rows = read_table(path)
    columns, images = list(rows[0]), image_columns(rows[0])
    if not images or not {"label", "mask"} & set(columns):
        return None
    files = _some({path.parent / row[images[0]] for row in rows})
    masks = _some({path.parent / row["mask"] for row in rows if row["mask"]}) if "mask" in columns else ()
    task = "classification" if "label" in columns else "segmentation"
    scheme = (
        "given"
        if "part" in columns and {PARTS.get(row["part"].lower()) for row in rows} >= {"train", "test"}
        else "holdout"
    )
    return Recognised("manifest", task, scheme, "patient" in columns, {}, files, masks)


def _arrays(path: Path) -> Recognised | None:
    names = open_arrays(path).names
    if {"train_images", "train_labels"} <= set(names):
        parts = {"val_images", "test_images"} <= set(names)
        return Recognised("medmnist", "classification", "given" if parts else "holdout", patients_known=False)
    if "images" not in names:
        return None
    table = path.with_suffix(".csv")
    columns = [*names, *(read_table(table)[0] if table.is_file() else ())]
    label = next((name for name in LABELS if name in columns), None)
    mask = "masks" if "masks" in names else None
    if label is None and mask is None:
        return None
    settings = {"images": "images", "table": table.name if table.is_file() else None}
    settings |= {"labels": label} if label else {"masks": mask}
    settings["groups"] = next((name for name in PATIENTS if name in columns), None)
    kept = {key: value for key, value in settings.items() if value is not None}
    return Recognised("arrays", "classification" if label else "segmentation", "holdout", "groups" in kept, kept)


def _folder(path: Path) -> Recognised | None:
    if (path / "dataset.json").is_file():
        return _described(path)
    names = _names(path)
    scans = [
        name for name in names if name.name.lower().startswith("brats") and name.name.endswith((".nii", ".nii.gz"))
    ]
    if scans:
        return Recognised("brats", "segmentation", images=_some(name for name in scans if "seg" not in name.name)[:4])
    if (path / "manifest.csv").is_file():
        found = _file(path / "manifest.csv")
        return None if found is None else replace(found, settings={"path": str(path / "manifest.csv")})
    suffixes = {name.suffix for name in names}
    if {".xml", ".dcm"} <= suffixes:
        return Recognised("lidc", "classification", settings={"label": "malignancy"})
    return _class_folders(path)


def _described(path: Path) -> Recognised:
    """nnU-Net raw or Medical Decathlon, which both keep a dataset.json."""
    try:
        description = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise CohortError(f"{path / 'dataset.json'} is not valid JSON ({error}); mend it") from error
    listed = isinstance(description, dict) and isinstance(description.get("training"), list)
    source = "decathlon" if listed else "nnunet"
    return Recognised(source, "segmentation", patients_known=False, images=_some(_pictures(path / "imagesTr")))


def _class_folders(path: Path) -> Recognised | None:
    """A folder per class, or such folders below train, val and test."""
    below = [child for child in path.iterdir() if child.is_dir()]
    parts = {PARTS[child.name.lower()] for child in below if child.name.lower() in PARTS}
    given = {"train", "test"} <= parts
    tops = [child for top in below for child in top.iterdir() if child.is_dir()] if len(parts) > 1 else below
    filled = [child for child in tops if next(_pictures(child), None)]
    masks = sorted({child.name for child in filled} & _MASKS)
    if masks:
        raise CohortError(f"{path} has a folder {masks[0]}, which is no class; list images and masks in a manifest.csv")
    if len({child.name for child in filled}) < 2:
        return None
    images = _some(itertools.chain.from_iterable(itertools.islice(_pictures(child), _LOOKED_AT) for child in filled))
    return Recognised("folders", "classification", "given" if given else "holdout", False, {}, images)


def _names(path: Path) -> Sequence[Path]:
    return list(itertools.islice(path.rglob("*"), _LOOKED_AT))


def _pictures(folder: Path) -> Iterator[Path]:
    """Image files below a folder."""
    return (file for file in folder.rglob("*") if is_image(file))
