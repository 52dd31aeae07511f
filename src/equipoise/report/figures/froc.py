"""FROC curves: the sensitivity of a detector against its false positives per scan."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.detection import RATES, FrocBand, Marks, froc_band
from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.svg import Drawing, Frame
from equipoise.statistics.endpoints import SENSITIVITY

_SENSITIVITY = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_POWERS = tuple(float(np.log2(rate)) for rate in RATES)
_WORDS = ("⅛", "¼", "½", "1", "2", "4", "8")


Run = tuple[Marks, NDArray[np.int64]]
"""The test candidates of one training run, and the patient of every scan (scans,) as numbers from 0."""


def froc_figure(
    detectors: Mapping[str, Sequence[Run]],
    scores: Mapping[str, str],
    rule: tuple[str, Sequence[Run]] | None = None,
    noun: str = "scan",
    seed: int = 0,
) -> Figure | None:
    """Draw one panel per arm; `scores` are texts below the arms' names. None where no scan has a relevant finding.

    rule: the trivial rule drawn in each panel; noun: the word for a case.
    """
    usable = {name: [run for run in runs if run[0].findings.any()] for name, runs in detectors.items()}
    shown = {name: runs for name, runs in usable.items() if runs}
    if not shown:
        return None
    # Even steps on the logarithmic axis, with the seven rates of the CPM among them, so that its points lie on the
    # curve.
    rates = 2 ** np.linspace(_POWERS[0], _POWERS[-1], 8 * (len(RATES) - 1) + 1)
    # A generator with the same seed per arm: a further arm must not change the bands of the others.
    bands = {name: froc_band(runs, rates, np.random.default_rng(seed), 300) for name, runs in shown.items()}
    line = (rule[0], froc_band(rule[1], rates, np.random.default_rng(seed), 2)) if rule and rule[1] else None
    numbers = {name: index for index, name in enumerate(detectors)}
    return Figure(
        "froc",
        "FROC curves",
        f"Mean sensitivity over the training runs at each number of false positives per {noun} (powers of two); band: "
        "pointwise 95 %, from 300 draws of patients and runs with replacement (for illustration; the verdicts come "
        "from the comparison above). The CPM is the mean of the seven marked points. Candidates on irrelevant findings "
        "are not counted." + (f" Dashed: the {line[0]}." if line else ""),
        tuple(_panel(name, numbers[name], band, scores.get(name, ""), line, noun) for name, band in bands.items()),
        ("arm", "false_positives_per_scan", SENSITIVITY.name, "low", "high"),
        tuple(
            (name, float(r), float(s), float(low), float(high))
            for name, band in [*bands.items(), *([line] if line else [])]
            for r, s, low, high in zip(band.rates, band.sensitivity, band.low, band.high, strict=True)
        ),
    )


def _panel(arm: str, series: int, band: FrocBand, score: str, rule: tuple[str, FrocBand] | None, noun: str) -> Drawing:
    powers = np.log2(band.rates)
    marked = [int(np.argmin(np.abs(powers - power))) for power in _POWERS]
    points = "; ".join(f"{100 * band.sensitivity[k]:.0f} % at {band.rates[k]:g}" for k in marked)
    drawing = Drawing(
        PANEL, 272, f"FROC curve of {arm}", f"{score}; sensitivity by false positives per {noun}: {points}."
    )
    drawing.text(0, 12, arm, "head")
    drawing.text(0, 29, score, "small")
    frame = Frame(drawing, 36, 58, PANEL - 44, 172, (_POWERS[0], _POWERS[-1]), (0.0, 1.0))
    frame.y_axis(_SENSITIVITY, SENSITIVITY.display)
    frame.x_axis(_POWERS, f"false positives per {noun}", words=_WORDS)
    colour = f"c{series % 8}"
    frame.band(powers, band.low, band.high, f"area {colour}")
    if rule is not None:
        frame.curve(powers, rule[1].sensitivity, "reference")
    frame.curve(powers, band.sensitivity, f"s {colour}")
    for k in marked:
        drawing.marker(float(frame.x(powers[k])), float(frame.y(band.sensitivity[k])), series, 3.0)
    return drawing
