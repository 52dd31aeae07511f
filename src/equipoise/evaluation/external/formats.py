"""Recognise the kind of predictions in a file or folder by its content."""

import csv
from enum import Enum
from pathlib import Path

from equipoise.cohorts.formats.arrays import ArrayFile
from equipoise.cohorts.formats.checksums import check_size
from equipoise.errors import PredictionError
from equipoise.evaluation.external import masks, medmnist, monai, nnunet
from equipoise.evaluation.external.mask_file import is_mask

_SUMMARY = {"mean", "median", "max", "min", "std", "notnans"}


class Kind(Enum):
    """Kinds of sources, by what the report calls them."""

    CSV = "table of predictions (CSV)"
    PARQUET = "table of predictions (Parquet)"
    NNUNET = nnunet.KIND
    MONAI_METRICS = monai.METRICS
    MONAI_VALUES = monai.VALUES
    MEDMNIST = medmnist.KIND
    MASK = masks.KIND
    FOLDER = "folder"


def kind_of(path: Path) -> Kind:
    """Return the kind of a file or folder; PredictionError for other kinds, with the file to give instead if known."""
    # The name decides only where the content cannot: MedMNIST's scores and CSVSaver's values both have no header.
    if not path.exists():
        raise PredictionError(f"{path} does not exist; check the path")
    if path.is_dir():
        return Kind.FOLDER
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return Kind.PARQUET
    if suffix == ".csv":
        return _csv(path)
    if suffix == ".json":
        return _json(path)
    if suffix == ".npz" and "test_labels" in ArrayFile(path).names:
        raise PredictionError(f"{path} is a MedMNIST data set, not predictions; give it as the truth of a result file")
    if is_mask(path):
        return Kind.MASK
    raise PredictionError(
        f"{path} is of no kind that can be audited; known are tables (.csv, .parquet), nnU-Net's summary.json, MONAI's "
        "and MedMNIST's CSV files, and masks (.nii, .nii.gz, .npy, .npz, .png)"
    )


def _csv(path: Path) -> Kind:
    head = _first_row(path)
    if head[0] == "filename" and head[-1] == "mean":
        return Kind.MONAI_METRICS
    if head[0] == "class" and _SUMMARY & set(head[1:]):
        raise PredictionError(
            f"{path} is MONAI's summary over cases, from which nothing can be compared; give the file ending in "
            "_raw.csv beside it"
        )
    if any(not _is_number(cell) for cell in head[1:]) or len(head) < 2:
        return Kind.CSV
    if medmnist.file_name(path) is not None:
        return Kind.MEDMNIST
    if path.name == "metrics.csv":
        raise PredictionError(f"{path} holds MONAI's means over all cases; give the _raw.csv files beside it")
    return Kind.MONAI_VALUES


def _first_row(path: Path) -> list[str]:
    check_size(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            row = next((row for row in csv.reader(file) if row), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PredictionError(f"{path} is not a readable CSV file ({error}); save it again") from error
    if not row:
        raise PredictionError(f"{path} has no row; save it again")
    return [cell.strip() for cell in row]


def _json(path: Path) -> Kind:
    content, _ = nnunet.read_json(path)
    if isinstance(content, dict) and "metric_per_case" in content:
        return Kind.NNUNET
    if isinstance(content, dict) and isinstance(content.get("results"), dict) and "all" in content["results"]:
        raise PredictionError(f"{path} is a summary of nnU-Net version 1; evaluate again with version 2, or give masks")
    raise PredictionError(f"{path} has no list 'metric_per_case', so it is no summary.json of nnU-Net; give that file")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
