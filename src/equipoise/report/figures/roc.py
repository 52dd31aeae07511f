"""ROC curves with bands over patients and training runs, and with the trivial rule."""

from collections.abc import Mapping, Sequence

import numpy as np

from equipoise.evaluation.roc import Band, Curve, Run, band, roc
from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.svg import Drawing, Frame
from equipoise.statistics.endpoints import SENSITIVITY

_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def roc_figure(
    runs: Mapping[str, Sequence[Run]],
    rule: tuple[str, Sequence[Run]] | None,
    positive: str,
    areas: Mapping[str, str],
    seed: int = 0,
) -> Figure | None:
    """Draw one panel per arm; `rule` is the baseline drawn in each, `areas` are texts below the arms' names.

    runs: per arm its test runs for the class `positive`; None where no run has both classes.
    """
    shown = {arm: [run for run in many if run.usable()] for arm, many in runs.items()}
    if not any(shown.values()):
        return None
    bands = {arm: band(many, np.random.default_rng(seed)) for arm, many in shown.items() if many}
    line = _mean_rule(rule)
    several = any(len(run.score) > 1 for many in shown.values() for run in many)
    title = f"ROC curves: {positive} against the rest" + (", averaged" if several else "")
    rows: list[tuple[object, ...]] = [
        (arm, float(f), float(t), float(lo), float(hi))
        for arm, b in bands.items()
        for f, t, lo, hi in zip(b.fpr, b.tpr, b.low, b.high, strict=True)
    ]
    if line is not None:
        rows += [(line[0], float(f), float(t), None, None) for f, t in zip(line[1].fpr, line[1].tpr, strict=True)]
    numbers = {arm: index for index, arm in enumerate(runs)}
    return Figure(
        "roc",
        title,
        _words(max(map(len, shown.values())) > 1) + (f" Dashed: the {line[0]}." if line else "") + " Dotted: chance.",
        tuple(_panel(arm, numbers[arm], b, line, areas.get(arm, "")) for arm, b in bands.items()),
        ("arm", "false_positive_rate", SENSITIVITY.name, "low", "high"),
        tuple(rows),
    )


def _words(several_runs: bool) -> str:
    line = f"mean {SENSITIVITY.display} over the training runs" if several_runs else SENSITIVITY.display
    drawn = "patients and runs" if several_runs else "patients"
    return (
        f"Solid: {line} at each false-positive rate; band: pointwise 95 %, from 500 draws of {drawn} with "
        "replacement (for illustration; the verdicts come from the comparison above)."
    )


def _mean_rule(rule: tuple[str, Sequence[Run]] | None) -> tuple[str, Curve] | None:
    if rule is None or not rule[1]:
        return None
    runs = [run for run in rule[1] if run.usable()]
    if not runs:
        return None
    # A rule of one run has an exact curve with corners; averaging over a grid would round them.
    if len(runs) == 1 and len(runs[0].score) == 1:
        return rule[0], roc(runs[0].positive[0], runs[0].score[0])
    mean = band(runs, np.random.default_rng(0), replicates=2)
    return rule[0], Curve(mean.fpr, mean.tpr, mean.fpr)


def _panel(arm: str, series: int, curve: Band, rule: tuple[str, Curve] | None, area: str) -> Drawing:
    at = {f: float(curve.tpr[round(100 * f)]) for f in (0.1, 0.2)}
    seen = "; ".join(f"sensitivity {100 * t:.0f} % at {100 * (1 - f):.0f} % specificity" for f, t in at.items())
    drawing = Drawing(PANEL, 272, f"ROC curve of {arm}", f"{area}; {seen}.")
    drawing.text(0, 12, arm, "head")
    drawing.text(0, 29, area, "small")
    frame = Frame(drawing, 36, 58, PANEL - 44, 172, (0.0, 1.0), (0.0, 1.0))
    frame.y_axis(_TICKS, SENSITIVITY.display)
    frame.x_axis(_TICKS, "1 − specificity")
    colour = f"c{series % 8}"
    frame.curve([0, 1], [0, 1], "chance")
    frame.band(curve.fpr, curve.low, curve.high, f"area {colour}")
    if rule is not None:
        frame.curve(rule[1].fpr, rule[1].tpr, "reference")
    frame.curve(np.append(0.0, curve.fpr), np.append(0.0, curve.tpr), f"s {colour}")
    return drawing
