"""Which source reads the files found at a path: by names, a table's header, dataset.json and an npz's list."""

import itertools
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

from equipoise.cohorts.formats.file_names import data_files, data_folders, missing_path
from equipoise.cohorts.layouts.array_recognition import recognise_arrays
from equipoise.cohorts.layouts.brats import brats_scans
from equipoise.cohorts.layouts.brats_recognition import brats_settings
from equipoise.cohorts.layouts.class_recognition import find_classes
from equipoise.cohorts.layouts.decathlon import images_of, listed_cases
from equipoise.cohorts.layouts.description import NAME, listed_file, read_description
from equipoise.cohorts.layouts.image_names import image_files, is_image_name
from equipoise.cohorts.layouts.nnunet import IMAGES, MASKS
from equipoise.cohorts.layouts.pair_recognition import find_pairs
from equipoise.cohorts.layouts.recognised import Recognised
from equipoise.cohorts.layouts.table_recognition import SUFFIXES, FoundTable, find_table, first_readable, tables_in
from equipoise.cohorts.layouts.unread_files import unread_files
from equipoise.errors import CohortError
from equipoise.tasks import task_named

__all__ = ["Recognised", "recognise"]

KNOWN = (
    "a BraTS folder, an nnU-Net, Medical Decathlon or MONAI folder (dataset.json), a table of images, an .npz of "
    "MedMNIST or "
    "with images and labels or masks, LIDC-IDRI with its XML files, images with masks (folders of both, a folder "
    "for each "
    "case, BIDS), or a folder per class"
)
_LOOKED_AT = 5_000  # names below a folder before the search gives up
_PROBED = 12
# Far more masks than images are read: a rare class may be in few of them, and a class that is missed here is a problem
# of every case that has it.
_MASKS_READ = 200


def recognise(path: Path, user_settings: Mapping[str, Any] | None = None) -> Recognised:
    """Return the source whose layout lies at `path`.

    user_settings: keys of [cohort] that the user states where the files leave doubt. CohortError says what was looked
    for where there is none, or asks what is not certain.
    """
    user_settings = dict(user_settings or {})
    if path.is_file():
        known = _file(path, user_settings)
    elif path.is_dir():
        known = _folder(path, user_settings)
    else:
        raise CohortError(missing_path(path))
    if known is None:
        _refuse_one_class(path)
        raise CohortError(
            f"{path} has no layout that is recognised{unread_files(path)}; known are {KNOWN}; or write a manifest.csv"
        )
    return known


def _refuse_one_class(path: Path) -> None:
    """Say of a folder of images alone that they are of one class; there is nothing to tell apart."""
    below = itertools.islice(data_files(path), _LOOKED_AT) if path.is_dir() else ()
    images = [file for file in below if is_image_name(file.name)]
    if images and len({file.parent for file in images}) == 1:
        raise CohortError(
            f"{path} holds {len(images)} images in one folder, without masks or a table, so there is only one class; "
            "give a folder that holds one folder for each of two classes or more, or write a manifest.csv"
        )


def _some(files: Iterable[Path], most: int = _PROBED) -> tuple[Path, ...]:
    """Return some of the files, at most so many, evenly spaced."""
    listed = sorted(files)
    return tuple(listed[:: max(1, -(-len(listed) // most))])


def _file(path: Path, user_settings: dict[str, Any]) -> Recognised | None:
    if path.suffix.lower() in SUFFIXES:
        return _of_table(find_table(path, user_settings))
    if path.name == NAME:
        return _described(path.parent)
    return recognise_arrays(path, user_settings) if path.suffix == ".npz" and zipfile.is_zipfile(path) else None


def _of_table(table: FoundTable, *, named: bool = True) -> Recognised:
    """named: the table itself was given, and not a folder that holds it."""
    settings = table.settings if named else {"path": str(table.path), **table.settings}
    return Recognised(
        "manifest",
        table.task,
        "given" if table.given else "holdout",
        table.patients_known,
        settings,
        _some(set(table.images)),
        _some(set(table.masks), _MASKS_READ),
        table.remarks,
        needs_classes=task_named(table.task).has_masks,
    )


def _folder(path: Path, user_settings: dict[str, Any]) -> Recognised | None:
    if (path / NAME).is_file():
        return _described(path)
    if described := [child for child in data_folders(path) if (child / NAME).is_file()]:
        return _one_of(path, described, user_settings)
    names = list(itertools.islice(data_files(path), _LOOKED_AT))
    if any(_is_of_brats(name.name) for name in names):
        scans = brats_scans(path)
        if scans:
            images = _some(file for scan in scans for kind, file in scan.by_kind.items() if kind not in ("seg", "gtv"))
            return Recognised(
                "brats", "segmentation", settings=brats_settings(path, scans, user_settings), images=images[:4]
            )
    suffixes = {name.suffix for name in names}
    if {".xml", ".dcm"} <= suffixes:
        return Recognised("lidc", "classification", settings={"label": "malignancy"})
    return _tables_pairs_or_classes(path, user_settings)


def _is_of_brats(name: str) -> bool:
    is_new = name.lower().startswith("brats") and name.endswith((".nii", ".nii.gz"))
    return is_new or (name.startswith(("VSD.Brain", "BRATS_", "SimBRATS_")) and name.endswith(".mha"))


def _tables_pairs_or_classes(path: Path, user_settings: dict[str, Any]) -> Recognised | None:
    tables = tables_in(path)
    table, refusal = first_readable(tables, user_settings)
    # A table called manifest is the user's own word: why it cannot be read is said, and no other layout is tried.
    named_manifest = bool(tables) and tables[0].stem.lower() == "manifest"
    if named_manifest and refusal is not None:
        raise refusal
    if table is not None and (named_manifest or task_named(table.task).has_masks or not _pairs(path, user_settings)):
        return _of_table(table, named=False)
    classes = find_classes(path, user_settings)
    if classes is None:
        pairs = _pairs(path, user_settings)
        if pairs is not None:
            return pairs
    if classes is None and (arrays := _arrays_in(path, user_settings)) is not None:
        return arrays
    if classes is None and refusal is not None:
        raise refusal
    return _below(path, user_settings) if classes is None else classes


def _pairs(path: Path, user_settings: dict[str, Any]) -> Recognised | None:
    pairs = find_pairs(path, user_settings)
    if pairs is None:
        return None
    return Recognised(
        "pairs",
        "segmentation",
        "given" if pairs.given else "holdout",
        pairs.patients_known,
        pairs.settings,
        _some(pairs.images),
        _some(pairs.masks, _MASKS_READ),
        pairs.remarks,
        needs_classes="classes" not in pairs.settings,
    )


def _one_of(path: Path, described: Sequence[Path], user_settings: dict[str, Any]) -> Recognised:
    """Return the one data set of a folder of data sets; several are named."""
    if len(described) > 1:
        shown = ", ".join(child.name for child in described[:5])
        raise CohortError(
            f"{path} holds {len(described)} data sets with a {NAME} ({shown}); give one of them: "
            f"`equipoise init {quote(str(described[0]))}`."
        )
    return _moved_down(described[0], user_settings)


def _moved_down(path: Path, user_settings: dict[str, Any]) -> Recognised:
    below = recognise(path, user_settings)
    return replace(below, settings={"path": str(path.resolve())} | below.settings)


def _arrays_in(path: Path, user_settings: dict[str, Any]) -> Recognised | None:
    """Return what the one file of arrays in a folder without images holds; several are named."""
    files = sorted(file for file in data_files(path) if file.parent == path and file.suffix == ".npz")
    if not files:
        return None
    if len(files) > 1:
        shown = ", ".join(file.name for file in files[:5])
        raise CohortError(
            f"{path} holds {len(files)} files of arrays ({shown}); give one of them: "
            f"`equipoise init {quote(str(files[0]))}`."
        )
    return _moved_down(files[0], user_settings)


def _below(path: Path, user_settings: dict[str, Any]) -> Recognised | None:
    """What lies in the only folder of a folder, as archives unpack."""
    children = data_folders(path)
    if len(children) != 1:
        return None
    return _moved_down(children[0], user_settings)


def _described(path: Path) -> Recognised:
    """Recognise nnU-Net raw, a Medical Decathlon task or a MONAI datalist, which all keep a dataset.json."""
    description = read_description(path)
    if isinstance(description.get("dataset"), dict):
        listed = [entry["images"][0] for entry in description["dataset"].values() if isinstance(entry, dict)]
        images = [listed_file(path, name) for name in listed]
        return Recognised("nnunet", "segmentation", patients_known=False, images=_some(images))
    # A training list stands in the Decathlon's files and in those of nnU-Net's version 1, whose list names CASE.nii.gz
    # where the files are CASE_0000.nii.gz; so the files decide.
    numbered = any(file.name.partition(".")[0].endswith("_0000") for file in (path / IMAGES).glob("*"))
    if not isinstance(description.get("training"), list) or (numbered and (path / MASKS).is_dir()):
        return Recognised("nnunet", "segmentation", patients_known=False, images=_some(image_files(path / IMAGES)))
    pairs = [pair for _, pair in listed_cases(description, path)]
    labels = [pair.get("label") for pair in pairs]
    names = [label[0] if isinstance(label, list) and len(label) == 1 else label for label in labels]
    is_class = bool(names) and all(
        isinstance(name, int | float) or (isinstance(name, str) and not is_image_name(name)) for name in names
    )
    is_class = is_class and all(is_image_name(file.name) for pair in pairs for file in images_of(path, pair))
    masks = [] if is_class else [listed_file(path, name) for name in names if isinstance(name, str)]
    return Recognised(
        "decathlon",
        "classification" if is_class else "segmentation",
        patients_known=False,
        images=_some(images_of(path, pair)[0] for pair in pairs),
        masks=_some(masks, _MASKS_READ),
        needs_classes="labels" not in description and not is_class,
    )
