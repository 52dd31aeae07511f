"""Reliability diagrams and decision curves."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.calibration import Bin, CalibrationError, reliability
from equipoise.evaluation.decision_curve import DecisionCurve, net_benefit
from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.svg import Drawing, Frame, nice_ticks
from equipoise.report.results.calibration import Rows
from equipoise.report.text.words import number

_LINE = 14
_SEVERAL = (
    " The ECE of these bins is that of the diagram, where errors of runs in opposite directions cancel; that of one "
    "run is the mean of the errors of single runs."
)
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_THRESHOLDS = np.round(np.arange(0.02, 0.81, 0.01), 2)


def calibration_figure(arms: Mapping[str, Rows], errors: Mapping[str, CalibrationError], positive: str) -> Figure:
    """Draw reliability diagrams: observed share of `positive` against predicted probability, one panel per arm."""
    table, panels = [], []
    for index, (arm, rows) in enumerate(arms.items()):
        bins = reliability(rows.probability, rows.positive, rows.patient, run=rows.run)
        table += [
            (arm, b.low, b.high, b.predicted, b.observed.estimate, b.observed.low, b.observed.high, b.n_rows)
            for b in bins
        ]
        lines = _errors_in_words(bins, errors[arm], several=len(np.unique(rows.run)) > 1)
        drawing = Drawing(PANEL, 272 + _LINE, f"Reliability of {arm}", "; ".join(lines))
        drawing.text(0, 12, arm, "head")
        for row, line in enumerate(lines):
            drawing.text(0, 29 + row * _LINE, line, "small")
        frame = Frame(drawing, 36, 58 + _LINE, PANEL - 44, 172, (0.0, 1.0))
        frame.y_axis(_TICKS, f"observed share {positive}")
        frame.x_axis(_TICKS, f"predicted probability of {positive}")
        frame.curve([0, 1], [0, 1], "chance")
        _histogram(frame, rows.probability)
        for b in bins:
            at, colour = float(frame.x(b.predicted)), f"c{index % 8}"
            drawing.line(at, float(frame.y(b.observed.low)), at, float(frame.y(b.observed.high)), f"s thin {colour}")
        frame.curve([b.predicted for b in bins], [b.observed.estimate for b in bins], f"s c{index % 8}")
        for b in bins:
            with drawing.hint(f"predicted {number(b.predicted, 2)}, observed {number(b.observed.estimate, 2)}"):
                drawing.marker(float(frame.x(b.predicted)), float(frame.y(b.observed.estimate)), index, 3.6)
        panels.append(drawing)
    return Figure(
        "calibration",
        "Calibration",
        "Observed against predicted, in ten bins of all runs' test predictions, with 95 % intervals clustered by "
        "patient; on the dotted line they are equal. Bars below: how often each probability was predicted. The "
        "expected calibration error (ECE) is biased upward: “chance alone” is its expected value for a perfectly "
        "calibrated network on the same number of cases."
        + (_SEVERAL if any(len(np.unique(rows.run)) > 1 for rows in arms.values()) else ""),
        tuple(panels),
        ("arm", "bin_low", "bin_high", "predicted", "observed", "low", "high", "rows"),
        tuple(table),
    )


def _errors_in_words(bins: Sequence[Bin], error: CalibrationError, several: bool) -> list[str]:
    """Return the lines above a diagram: the error of its own bins, and of one run, where there are several."""
    single = f"ECE {error.estimate:.3f}; chance alone {error.by_chance:.3f}"
    if not several:
        return [single]
    total = sum(b.n_rows for b in bins)
    pooled = sum(b.n_rows * abs(b.observed.estimate - b.predicted) for b in bins) / total
    return [f"ECE of these bins {pooled:.3f}", f"of one run {error.estimate:.3f}; chance alone {error.by_chance:.3f}"]


def _histogram(frame: Frame, probability: NDArray[np.float64]) -> None:
    counts, edges = np.histogram(probability, bins=20, range=(0.0, 1.0))
    floor = frame.top + frame.height
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        left, right = float(frame.x(low)), float(frame.x(high))
        height = 34.0 * count / max(counts.max(), 1)
        frame.drawing.rect(left + 0.5, floor - height, right - left - 1, height, "bar pale c6")


def decision_figure(arms: Mapping[str, Rows], rule: tuple[str, Rows] | None, positive: str) -> Figure:
    """Draw the net benefit per threshold of every arm, of the trivial rule and of acting on everyone."""
    curves = {arm: _curve(rows) for arm, rows in arms.items()}
    other = None if rule is None else (rule[0], _curve(rule[1]))
    several = any(len(np.unique(rows.run)) > 1 for rows in arms.values())
    top = max(float(curve.act_on_all.max()) for curve in curves.values())
    everything = [*curves.items(), *([other] if other else [])]
    table = tuple(
        (name, float(t), float(m), float(a))
        for name, curve in everything
        for t, m, a in zip(curve.thresholds, curve.model, curve.act_on_all, strict=True)
    )
    return Figure(
        "net-benefit",
        "Net benefit",
        f"Net benefit per 100 cases of acting on all cases whose probability of {positive} exceeds the threshold"
        f"{' (mean over the trained networks)' if several else ''}: true positives minus false positives, which are "
        "weighted by the odds of the threshold. Thin line: act on all cases; zero: act on no case."
        + (f" Dashed: the {rule[0]}." if rule else ""),
        tuple(_benefit(arm, i, curve, other, top, positive) for i, (arm, curve) in enumerate(curves.items())),
        ("name", "threshold", "net_benefit", "act_on_all"),
        table,
    )


def _curve(rows: Rows) -> DecisionCurve:
    runs = [rows.run == number for number in np.unique(rows.run)]
    curves = [net_benefit(rows.positive[own], rows.probability[own], _THRESHOLDS) for own in runs]
    return DecisionCurve(
        _THRESHOLDS, np.mean([c.model for c in curves], axis=0), np.mean([c.act_on_all for c in curves], axis=0)
    )


def _benefit(
    arm: str, series: int, curve: DecisionCurve, other: tuple[str, DecisionCurve] | None, top: float, positive: str
) -> Drawing:
    at = f"at a threshold of 20 %: {100 * np.interp(0.2, curve.thresholds, curve.model):.1f} per 100 cases"
    drawing = Drawing(PANEL, 256, f"Net benefit of {arm}", at)
    drawing.text(0, 12, arm, "head")
    # Acting on everyone falls without limit at high thresholds; cut off there, the curves near zero stay legible.
    limits = (-12.0 * max(top, 0.1), 108.0 * top)
    frame = Frame(drawing, 30, 42, PANEL - 38, 172, (0.0, 0.8), limits)
    frame.y_axis(nice_ticks(*limits, 5), "net benefit per 100 cases")
    frame.x_axis((0.0, 0.2, 0.4, 0.6, 0.8), f"threshold probability of {positive}")
    shown: Sequence[bool] = (100 * curve.act_on_all >= limits[0]).tolist()
    frame.curve(curve.thresholds[shown], 100 * curve.act_on_all[shown], "s thin c6")
    frame.drawing.line(frame.left, float(frame.y(0)), frame.left + frame.width, float(frame.y(0)), "zero")
    if other is not None:
        frame.curve(other[1].thresholds, 100 * other[1].model, "reference")
    frame.curve(curve.thresholds, 100 * curve.model, f"s c{series % 8}")
    return drawing
