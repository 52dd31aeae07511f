"""Every case with its per-case metrics: a CSV file of all cases, and a table on the page of few."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_text
from equipoise.evaluation.predictions import Predictions
from equipoise.report.results.rows import part
from equipoise.report.text.words import endpoint_name, number
from equipoise.runfolder.read import RunFolder
from equipoise.sinks import cells
from equipoise.statistics.endpoints import in_case_table

FEW = 60
"""Largest number of rows (case, run, structure) on the page; more are in cases.csv alone."""
_VOLUMES = (
    ("truth_ml", "true volume, ml", 2), ("predicted_ml", "predicted volume, ml", 2),
    ("truth_voxels", "true voxels", 0), ("predicted_voxels", "predicted voxels", 0),
)  # fmt: skip
_SHOWN = (*((one.beginning, one.short, one.decimals or 0) for one in in_case_table()), *_VOLUMES)
"""Column, heading and decimals of the metrics in the table of cases."""


def case_table(run: RunFolder) -> dict[str, Any] | None:
    """Return rows of (arm, case, structure, cells) with headings; None without metrics, or with too many rows."""
    test = _test(run)
    if test is None or not test.metrics:
        return None
    structures = _structures(test)
    shown = [head for head in _SHOWN if any(f"{head[0]}_{one}" in test.metrics for one in structures)]
    # Voxel counts add nothing to volumes in ml; they are shown only where no spacing gives volumes.
    if any(head[0] == "truth_ml" for head in shown):
        shown = [head for head in shown if not head[0].endswith("_voxels")]
    if not shown or len(test) * len(structures) > FEW:
        return None
    rows = []
    for index in range(len(test)):
        run_name = (
            f"{test.case[index]}, run {test.seed[index]}" if len(set(test.seed.tolist())) > 1 else test.case[index]
        )
        for one in structures:
            cells = [_cell(test.metrics, f"{metric}_{one}", index, decimals) for metric, _, decimals in shown]
            rows.append((str(test.arm[index]), str(run_name), endpoint_name(one), cells))
    return {"heads": [_head(words, run.lock["endpoints"]) for _, words, _ in shown], "rows": rows}


def _head(words: str, plan: Mapping[str, Any]) -> str:
    """Return "HD95, mm" in the unit of a cohort without spacings; without one where an audit does not know it.

    >>> _head("HD95, mm", {"units_stated": False, "length_unit": "pixels"}), _head("Dice", {})
    ('HD95, pixels', 'Dice')
    """
    name, _, unit = words.partition(", ")
    if not unit or plan.get("units_stated", True):
        return words
    grid = plan.get("length_unit", "")
    return f"{name}, {'1,000 ' * (unit == 'ml')}{grid}" if grid else name


def write_cases(run: RunFolder, path: Path) -> None:
    """Write all test rows: arm, fold, seed, case, patient, truth and scores of a classifier, every metric."""
    test = _test(run)
    if test is None:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    scores = [f"score_{name}" for name in test.classes]
    truths = ["truth"] if scores else []
    writer.writerow(cells(["arm", "fold", "seed", "case", "patient", *truths, *scores, *test.metrics]))
    for k in range(len(test)):
        truth = [test.classes[test.truth[k]]] if scores else []
        values = [*test.scores[k].tolist(), *(float(one[k]) for one in test.metrics.values())]
        row = [test.arm[k], test.fold[k], test.seed[k], test.case[k], test.patient[k], *truth, *values]
        writer.writerow(cells(row))
    write_text(path, text.getvalue())


def _test(run: RunFolder) -> Predictions | None:
    return part([job for name in run.arms() for job in run.finished(name)], "test")


def _structures(test: Predictions) -> list[str]:
    """Return the suffixes of `dice_`, or of the first metric with suffixes."""
    for metric, _, _ in _SHOWN:
        structures = [name.removeprefix(metric + "_") for name in test.metrics if name.startswith(metric + "_")]
        if structures:
            return structures
    return []


def _cell(metrics: Mapping[str, Any], name: str, index: int, decimals: int) -> str:
    return number(float(metrics[name][index]), decimals) if name in metrics else "–"
