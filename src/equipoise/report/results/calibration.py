"""Calibration of an arm's test predictions: the rows for its diagrams, and its calibration error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.calibration import CalibrationError, calibration_error, sharpen, temperature
from equipoise.evaluation.predictions import Predictions
from equipoise.report.results.rows import part, run_numbers
from equipoise.runfolder.read import JobRecord


@dataclass(frozen=True)
class Rows:
    """Test rows of all runs of one arm: probability and truth of one class, patient and run number, all (n,)."""

    probability: NDArray[np.float64]
    positive: NDArray[np.bool_]
    patient: NDArray[np.str_]
    run: NDArray[np.int64]


def mean_error(rows: Rows, n_bins: int = 10) -> CalibrationError:
    """Average over runs the calibration error, its value by chance and that value's 95th percentile."""
    # Per run and not pooled: errors of two runs in opposite directions would cancel in a common bin.
    errors = []
    for number in np.unique(rows.run):
        own = rows.run == number
        generator = np.random.default_rng(0)
        errors.append(calibration_error(rows.probability[own], rows.positive[own], generator, n_bins))
    means = [float(np.mean([getattr(error, name) for error in errors])) for name in CalibrationError.__annotations__]
    return CalibrationError(*means)


def calibration_rows(table: Predictions, positive: int | None) -> Rows:
    """Return probability and truth of the positive class; with more classes, of the predicted class being right."""
    run = run_numbers(table)
    if positive is not None:
        return Rows(table.scores[:, positive], table.truth == positive, table.patient, run)
    called = table.scores.argmax(axis=1)
    return Rows(table.scores.max(axis=1), table.truth == called, table.patient, run)


def calibration(jobs: Sequence[JobRecord], test: Predictions, positive: int | None) -> dict[str, Any] | None:
    """Return the calibration error, averaged over runs, before and after a temperature fitted on validation cases."""
    if not ((test.scores >= 0) & (test.scores <= 1)).all():
        return None
    error = mean_error(calibration_rows(test, positive))
    temperatures, after = [], []
    for job in jobs:
        held, own = part([job], "validation"), part([job], "test")
        if held is None or own is None:
            break
        temperatures.append(temperature(held.scores, held.truth))
        scaled = Predictions(**{**vars(own), "scores": sharpen(own.scores, temperatures[-1])})
        rows = calibration_rows(scaled, positive)
        after.append(calibration_error(rows.probability, rows.positive, np.random.default_rng(0), draws=2).estimate)
    complete = len(after) == len(jobs)
    return {
        "ece": error.estimate,
        "ece_by_chance": error.by_chance,
        "ece_chance_high": error.chance_high,
        "temperature": float(np.median(temperatures)) if complete else None,
        "ece_after_temperature": float(np.mean(after)) if complete else None,
    }
