"""Measure predicted masks against true ones: a row of metrics per pair, by the same functions as in a trial.

A structure that is in neither mask of a case counts as agreement (Dice 1, distance 0) for every arm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from equipoise.cohorts.layouts.same_grid import check_same_grid
from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import Regions, labels_of
from equipoise.evaluation.external.exchanged_labels import LabelFits
from equipoise.evaluation.external.mask_file import MaskFile, read_mask
from equipoise.evaluation.external.mask_pairs import MaskPair
from equipoise.evaluation.external.reading import Columns
from equipoise.evaluation.external.structures import LabelCount, foreign_labels, structures
from equipoise.evaluation.segmentation import NO_OTHER, Metric, case_metrics
from equipoise.progress import Watch

KIND = "predicted and true masks"
_COUNTS = ("truth_voxels", "predicted_voxels", "shared_voxels", "truth_ml", "predicted_ml")
Row = dict[str, float]
Key = int | str


@dataclass(frozen=True)
class Measured:
    """Columns of metrics, a row per pair in the order given; digests: SHA-256 of each pair's two files together.

    truths: SHA-256 of the true masks by path.
    """

    columns: Columns
    digests: tuple[str, ...]
    notes: tuple[str, ...]
    truths: dict[Path, str]


def measure(
    pairs: Sequence[MaskPair],
    regions: Regions,
    watch: Watch,
    own: Mapping[str, Metric] = NO_OTHER,
    ignore: Sequence[int] = (),
    arms: Sequence[str] = (),
    below_chance: bool = False,
) -> Measured:
    """Measure every pair: columns `<metric>_<region>`, and `<metric>`, their mean over regions.

    Without regions every label of the truth, or channel, is a region named by its number. own: metrics of anyone,
    beside the others. ignore: labels of the truth whose voxels are background in both masks. arms: of the pairs, by
    name; the pairs' own without it. below_chance: labels are right, although those of an arm look exchanged.
    """
    rows: list[dict[Key, Row]] = []
    digests = []
    truths: dict[Path, str] = {}
    notes: dict[str, dict[Path, None]] = {}
    labels, fits = LabelCount(), LabelFits(regions)
    arms = arms or [pair.arm for pair in pairs]
    truth: MaskFile | None = None
    for done, pair in enumerate(pairs):
        watch("measuring masks", done, len(pairs))
        if truth is None or truth.path != pair.truth:
            truth = read_mask(pair.truth)
        prediction = read_mask(pair.prediction)
        _comparable(prediction, truth)
        for one in (truth, prediction):
            for note in one.notes:
                notes.setdefault(note, {})[one.path] = None
        labels.add(pair.truth, truth.labels(), pair.prediction, prediction.labels(), arms[done])
        judged = _annotated(truth, prediction, ignore)
        fits.add(arms[done], pair.case, *judged)
        rows.append(_row(*judged, regions, own))
        truths[truth.path] = " ".join(truth.scan.sha256.values())
        digests.append(" ".join((*truth.scan.sha256.values(), *prediction.scan.sha256.values())))
    watch("measuring masks", len(pairs), len(pairs))
    judged_labels = structures(labels, regions, ignore)
    if not below_chance:
        fits.refuse_exchanged()
    names = _names(judged_labels, regions, truth)
    columns = {"case": np.array([pair.case for pair in pairs]), **_columns(rows, names, own)}
    notes_made = [f"{len(files)} of the masks, {next(iter(files)).name} first: {note}" for note, files in notes.items()]
    notes_made += foreign_labels(labels, regions, ignore)
    return Measured(columns, tuple(digests), tuple(notes_made), truths)


def _comparable(prediction: MaskFile, truth: MaskFile) -> None:
    if prediction.channels != truth.channels:
        forms = [f"{one.channels} channels" if one.channels else "a label per voxel" for one in (prediction, truth)]
        raise PredictionError(
            f"{prediction.path} has {forms[0]} and {truth.path.name} {forms[1]}; save both in one form"
        )
    check_same_grid(prediction.path, prediction.scan, truth.path, truth.scan)


def _annotated(truth: MaskFile, prediction: MaskFile, ignore: Sequence[int]) -> tuple[MaskFile, MaskFile]:
    """Return both masks with background where the truth has a label to ignore."""
    if not ignore:
        return truth, prediction
    if truth.channels:
        raise PredictionError(f"{truth.path} has channels and no label to ignore; save a label per voxel")
    known = ~np.isin(truth.voxels, ignore)
    return replace(truth, voxels=truth.voxels * known), replace(prediction, voxels=prediction.voxels * known)


def _row(truth: MaskFile, prediction: MaskFile, regions: Regions, own: Mapping[str, Metric]) -> dict[Key, Row]:
    """Return the metrics of each region, or of each label where the regions have no labels."""
    labels_of_key: dict[Key, tuple[int, ...]] = {name: labels for name, labels in regions.items() if labels}
    labels_of_key = labels_of_key or {label: (label,) for label in sorted({*truth.labels(), *prediction.labels()})}
    return {name: _metrics(truth, prediction, labels, own) for name, labels in labels_of_key.items()}


def _metrics(truth: MaskFile, prediction: MaskFile, labels: tuple[int, ...], own: Mapping[str, Metric]) -> Row:
    codes: Sequence[int] = labels
    if truth.channels:
        # A voxel's code has a bit per channel: every code that shares a bit with the region belongs to it.
        codes = [code for code in range(1 << truth.channels) if any(code >> label & 1 for label in labels)]
    spacing = truth.scan.spacing_mm
    values_by_name = case_metrics(truth.voxels, prediction.voxels, {"it": codes}, spacing, own=own)
    row = {name.removesuffix("_it"): value for name, value in values_by_name.items() if name.endswith("_it")}
    voxel_ml = float(np.prod(spacing)) / 1000
    return row | {"truth_ml": row["truth_voxels"] * voxel_ml, "predicted_ml": row["predicted_voxels"] * voxel_ml}


def _names(labels: Iterable[int], regions: Regions, truth: MaskFile | None) -> dict[Key, str]:
    """Map the keys of rows to names of regions: the caller's names, else the label's number."""
    if regions and all(regions.values()):
        return {name: name for name in regions}
    labels_present = sorted(labels)
    if regions:
        return {own[0]: name for name, own in labels_of(regions, labels_present).items()}
    prefix = "channel" if truth is not None and truth.channels else "label"
    return {label: f"{prefix}_{label}" for label in labels_present}


def _columns(rows: list[dict[Key, Row]], names: dict[Key, str], own: Mapping[str, Metric]) -> Columns:
    if not names:
        raise PredictionError("none of the masks holds a structure; check that the right files were given")
    # Two empty masks give the values of a structure that a case lacks in both: computed, so that they stay those of
    # the metrics whatever these define.
    empty = np.zeros((2, 2), dtype=np.int32)
    agreed = case_metrics(empty, empty, {"it": (1,)}, (1.0, 1.0), own=own)
    absent = {name.removesuffix("_it"): value for name, value in agreed.items() if name.endswith("_it")}
    absent |= {"truth_ml": 0.0, "predicted_ml": 0.0}
    columns: Columns = {}
    for metric in absent:
        by_region = {name: np.array([row.get(key, absent)[metric] for row in rows]) for key, name in names.items()}
        if metric not in _COUNTS:
            columns[metric] = np.mean(list(by_region.values()), axis=0)
        columns |= {f"{metric}_{name}": values for name, values in by_region.items()}
    return columns
