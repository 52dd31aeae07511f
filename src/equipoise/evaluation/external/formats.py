"""Recognise the kind of predictions in a file or folder by its content."""

from enum import Enum
from pathlib import Path

from equipoise.cohorts.formats.arrays import ArrayFile
from equipoise.errors import PredictionError
from equipoise.evaluation.external import masks, medmnist, monai, nnunet
from equipoise.evaluation.external.mask_file import is_mask
from equipoise.evaluation.external.table_file import EXCEL, TEXT, text_rows

_SUMMARY = {"mean", "median", "max", "min", "std", "notnans"}


class Kind(Enum):
    """Kinds of sources, by what the report calls them."""

    CSV = "table of predictions (CSV)"
    PARQUET = "table of predictions (Parquet)"
    EXCEL = "table of predictions (Excel)"
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
    if suffix in EXCEL:
        return Kind.EXCEL
    if suffix in TEXT:
        return _csv(path)
    if suffix == ".json":
        return _json(path)
    if suffix == ".npz" and "test_labels" in ArrayFile(path).names:
        raise PredictionError(f"{path} is a MedMNIST data set, not predictions; give it as the truth of a result file")
    if is_mask(path):
        return Kind.MASK
    raise PredictionError(
        f"{path} is not a kind of file that can be audited; known are tables (.csv, .tsv, .xlsx, .parquet: save it as "
        ".csv), nnU-Net's summary.json, MONAI's and MedMNIST's CSV files, and masks (.nii, .nii.gz, .npy, .npz, .png)"
    )


def _csv(path: Path) -> Kind:
    head = text_rows(path)[0][0]
    if head[0] == "filename" and head[-1] == "mean":
        return Kind.MONAI_METRICS
    if head[0] == "class" and _SUMMARY & set(head[1:]):
        raise PredictionError(
            f"{path} is MONAI's summary over cases, which cannot be compared; give the file ending in _raw.csv beside "
            "it"
        )
    if any(not _is_number(cell) for cell in head[1:]) or len(head) < 2:
        return Kind.CSV
    if medmnist.file_name(path) is not None:
        return Kind.MEDMNIST
    if path.name == "metrics.csv":
        raise PredictionError(f"{path} holds MONAI's means over all cases; give the _raw.csv files beside it")
    return Kind.MONAI_VALUES


def _json(path: Path) -> Kind:
    content, _ = nnunet.read_json(path)
    if isinstance(content, dict) and "metric_per_case" in content:
        return Kind.NNUNET
    if isinstance(content, dict) and isinstance(content.get("results"), dict) and "all" in content["results"]:
        raise PredictionError(f"{path} is a summary of nnU-Net version 1; evaluate again with version 2, or give masks")
    raise PredictionError(
        f"{path} has no list 'metric_per_case', so it is not a summary.json of nnU-Net; give that file"
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
