"""Read nnU-Net's `summary.json`: counts, Dice and IoU of every case from nnU-Net's own evaluator.

nnU-Net writes NaN where a structure is in neither mask and leaves such cases out of its means. Here the two masks
agree: Dice 1.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.limits import MIB, Limits
from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import Regions, labels_of
from equipoise.evaluation.external.reading import Columns, Reading, case_names

KIND = "nnU-Net summary.json"
_LIMITS = Limits(file_bytes=512 * MIB)
_COUNTS = {"n_ref": "truth_voxels", "n_pred": "predicted_voxels", "TP": "shared_voxels"}


def read_json(path: Path) -> tuple[Any, str]:
    """Read the contents of a JSON file and its SHA-256 (RefusedFile, PredictionError)."""
    raw, digest = read_bytes(path, _LIMITS)
    try:
        return json.loads(raw), digest
    except (ValueError, RecursionError) as error:
        raise PredictionError(f"{path} is not valid JSON ({error}); write it again") from error


def read_summary(path: Path, regions: Regions) -> Reading:
    """Read Dice, IoU and voxel counts per case and region; `regions` names nnU-Net's label numbers."""
    content, digest = read_json(path)
    rows = content.get("metric_per_case") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows:
        raise PredictionError(f"{path} has no list 'metric_per_case'; give the summary.json of nnU-Net version 2")
    keys = _keys(rows[0], path)
    names = _named(keys, regions, path)
    cells = [[_cells(row, key, path) for key in keys] for row in rows]
    columns: Columns = {"case": case_names([_file(row, path) for row in rows])}
    empty = 0.0
    for index, name in enumerate(names):
        own = [row[index] for row in cells]
        empty += sum(cell["empty"] for cell in own)
        columns |= {
            f"{quantity}_{name}": np.array([cell[quantity] for cell in own])
            for quantity in own[0]
            if quantity != "empty"
        }
    for quantity in ("dice", "iou"):
        columns[quantity] = np.mean([columns[f"{quantity}_{name}"] for name in names], axis=0)
    note = (
        f"In {path} {empty:.0f} of {len(rows) * len(keys)} structures of cases are in neither mask: nnU-Net leaves "
        "them out of its means, here they agree (Dice 1)."
    )
    return Reading(str(path), KIND, columns, (note,) if empty else (), digest, structures=tuple(names))


def _keys(row: Any, path: Path) -> list[str]:
    metrics = row.get("metrics") if isinstance(row, dict) else None
    if not isinstance(metrics, dict) or not metrics:
        raise PredictionError(f"{path} has a case without 'metrics'; write the summary again with nnU-Net")
    return sorted((key for key in metrics if key != "0"), key=_labels)


def _labels(key: str) -> tuple[int, ...]:
    """Parse the labels in nnU-Net's spelling of a label or a region: "2" or "(1, 2)"."""
    try:
        return tuple(int(part) for part in key.strip("()").split(",") if part.strip())
    except ValueError as error:
        raise PredictionError(f"{key!r} is not a label or region of nnU-Net; write the summary again") from error


def _named(keys: Sequence[str], regions: Regions, path: Path) -> list[str]:
    labels = [_labels(key) for key in keys]
    if not regions:
        return [f"label_{'+'.join(map(str, label_set))}" for label_set in labels]  # as masks name them
    bare = all(not labels_of_region for labels_of_region in regions.values())
    named_labels = list(zip(regions, labels, strict=False)) if bare else list(labels_of(regions, []).items())
    known = {labels_of_region: name for name, labels_of_region in named_labels}
    if (bare and len(regions) != len(keys)) or any(labels_of_region not in known for labels_of_region in labels):
        raise PredictionError(f"{path} judges {', '.join(keys)}; name each of them with --regions, or none")
    return [known[labels_of_region] for labels_of_region in labels]


def _file(row: Mapping[str, Any], path: Path) -> str:
    file = row.get("prediction_file") or row.get("reference_file")
    if not isinstance(file, str):
        raise PredictionError(f"{path} has a case without 'prediction_file'; write the summary again with nnU-Net")
    return file


def _cells(row: Any, key: str, path: Path) -> dict[str, float]:
    try:
        values = {name: float("nan") if v is None else float(v) for name, v in row["metrics"][key].items()}
        tp, fp, fn = values["TP"], values["FP"], values["FN"]
        dice, iou = values["Dice"], values["IoU"]
        counts = {ours: values[theirs] for theirs, ours in _COUNTS.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PredictionError(
            f"{path} has a case without the numbers Dice, IoU, TP, FP, FN, n_ref and n_pred of {key!r}; write the "
            "summary again with nnU-Net"
        ) from error
    # Dice is computed again from the counts: a summary edited by hand, or of another definition, is refused.
    total, empty = 2 * tp + fp + fn, tp + fp + fn == 0
    expected = 1.0 if empty else 2 * tp / total if total else float("nan")
    if not (empty or math.isclose(dice, expected, abs_tol=1e-6)):
        raise PredictionError(
            f"{path}: the Dice {dice:.4g} of {key!r} in {_file(row, path)} is not that of its own counts "
            f"({expected:.4g}); write the summary again with nnU-Net"
        )
    return {"dice": expected, "iou": 1.0 if empty else iou, **counts, "empty": float(empty)}
