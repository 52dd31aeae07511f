"""Read MONAI's CSV files: `<metric>_raw.csv` of MetricsSaver (a row per image), and CSVSaver's rows without a header.

CSVSaver names neither its columns nor the truth. With a truth its values are class scores; without one they are values
of a metric, which the file's name or the caller gives.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions, Regions
from equipoise.evaluation.external.reading import Columns, Reading, case_names
from equipoise.evaluation.external.table_file import text_rows

METRICS, VALUES = "MONAI metric CSV (MetricsSaver)", "MONAI CSVSaver file"
_METRICS = (
    (r"surface_?dice|nsd", "surface_dice"),
    (r"dice(_?(score|coefficient|metric))?|dsc", "dice"),
    (r"iou|jaccard", "iou"),
    (r"(hausdorff|hd)(_?distance)?_?95|hd95", "hd95"),
    (r"hausdorff(_?distance)?|hd", "hausdorff"),
    (r"assd|average_surface(_distance)?|surface_distance", "assd"),
)
_BEFORE = r"(?:(?:val|valid|validation|test|mean|avg|average|metric)_)*"


def read_metrics(path: Path, regions: Regions, metric: str | None) -> Reading:
    """Read the columns `<metric>_<class>` of one `<metric>_raw.csv`, and `<metric>`, MONAI's mean over classes."""
    rows, digest = text_rows(path)
    header, body = list(rows[0]), rows[1:]
    # MONAI's saver adds "mean" to one list of names again for each further metric of a folder.
    while body and len(header) > len(body[0]) and header[-2:] == ["mean", "mean"]:
        header.pop()
    classes = header[1:-1]
    values = numbers([row[1:] for row in body], path)
    if values.shape[1:] != (len(classes) + 1,):
        raise PredictionError(f"{path} has rows of other lengths than its header; save it again")
    _refuse_other_mean(values, [row[0] for row in body], path)
    if regions:
        classes = _renamed(regions, len(classes), path)
    name = metric or metric_named(path.stem.removesuffix("_raw")) or path.stem.removesuffix("_raw")
    columns: Columns = {"case": case_names([row[0] for row in body])}
    columns |= {f"{name}_{class_name}": values[:, index] for index, class_name in enumerate(classes)}
    columns[name] = values[:, -1]
    notes = _unnamed([row[0] for row in body], path)
    lost = int(np.isnan(values[:, :-1]).sum())
    if lost:
        cells = values.shape[0] * (values.shape[1] - 1)
        left_out = (
            f"In {path} {lost} of {cells} structures of cases are not a number: MONAI leaves them out of its "
            "mean, also where a method missed the structure."
        )
        notes = (*notes, left_out)
    return Reading(str(path), METRICS, columns, notes, digest, structures=tuple(classes))


def _refuse_other_mean(values: NDArray[np.float64], files: list[str], path: Path) -> None:
    """Refuse rows (classes, then their mean) whose mean is not that of their classes: edited, or another quantity."""
    parts, means = values[:, :-1], values[:, -1]
    known = ~np.isnan(parts)
    with np.errstate(invalid="ignore"):  # of no number, or of infinities of both signs: no number, as MONAI writes
        expected = np.where(known, parts, 0).sum(axis=1) / np.where(known.any(axis=1), known.sum(axis=1), np.nan)
    unlike = ~np.isclose(means, expected, rtol=1e-3, atol=1e-4, equal_nan=True)
    if unlike.any():
        row = int(np.flatnonzero(unlike)[0])
        raise PredictionError(
            f"{path}: the mean {means[row]:.4g} of {files[row]} is not that of its classes ({expected[row]:.4g}); "
            "write the file again with MONAI"
        )


def read_values(path: Path, options: AuditOptions, has_truth: bool) -> Reading:
    """Read CSVSaver's rows as class scores where there is a truth, else as values of one metric."""
    rows, digest = text_rows(path)
    values = numbers([row[1:] for row in rows], path)
    columns: Columns = {"case": case_names([row[0] for row in rows])}
    notes = _unnamed([row[0] for row in rows], path)
    if has_truth:
        columns |= score_columns(values, options.classes, path)
        return Reading(str(path), VALUES, columns, notes, digest)
    name = options.metric or metric_named(path.stem)
    if name is None:
        raise PredictionError(
            f"{path} has values without names; give the truth of each case (a CSV with case and truth) if they are "
            "class scores, or name the metric"
        )
    width = values.shape[1]
    regions = _renamed(options.regions, width, path) if options.regions else [str(i) for i in range(width)]
    if width > 1:
        columns |= {f"{name}_{region}": values[:, index] for index, region in enumerate(regions)}
    columns[name] = values.mean(axis=1)
    return Reading(str(path), VALUES, columns, notes, digest, structures=tuple(regions) if width > 1 else ())


def metric_named(name: str) -> str | None:
    """Return our name of the metric in a file's name, None where it names none.

    >>> metric_named("val_mean_dice"), metric_named("hausdorff95"), metric_named("dice_loss")
    ('dice', 'hd95', None)
    """
    # The whole name, because "dice_loss" holds the name of a metric whose better direction is the opposite.
    return next((ours for pattern, ours in _METRICS if re.fullmatch(f"{_BEFORE}(?:{pattern})", name.lower())), None)


def numbers(cells: list[list[str]], path: Path) -> NDArray[np.float64]:
    """Convert cells to numbers (rows, columns); refuse rows of unequal length and words."""
    if len({len(row) for row in cells}) != 1 or not cells[0]:
        raise PredictionError(f"{path} has no values, or rows of different lengths; save it again")
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError as error:
        raise PredictionError(f"{path} has a cell that is not a number ({error}); save it again") from error


def score_columns(values: NDArray[np.float64], classes: tuple[str, ...], path: Path) -> Columns:
    """Name values (cases, classes) as `score_<class>`; a single column is the score of the second of two classes."""
    if values.shape[1] == 1:
        # Whole numbers alone are predicted classes, of which no curve or calibration can be made.
        if (values == np.rint(values)).all():
            raise PredictionError(f"{path} has one whole number per case, a predicted class; save the class scores")
        values = np.hstack([1 - values, values])
    names = classes or tuple(str(index) for index in range(values.shape[1]))
    if len(names) != values.shape[1]:
        raise PredictionError(
            f"{path} has scores of {values.shape[1]} classes, and {len(names)} were named ({', '.join(names)}); name "
            "each, in the order of the columns"
        )
    return {f"score_{name}": values[:, index] for index, name in enumerate(names)}


def _renamed(regions: Regions, width: int, path: Path) -> list[str]:
    if len(regions) != width or any(labels for labels in regions.values()):
        raise PredictionError(f"{path} has {width} classes; name each of them in order, without labels")
    return list(regions)


def _unnamed(files: list[str], path: Path) -> tuple[str, ...]:
    if files != [str(index) for index in range(len(files))]:
        return ()
    return (f"The rows of {path} are numbered and name no case: rows of different files were paired by their place.",)
