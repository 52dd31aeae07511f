"""Sources of each difference's uncertainty: the sample of patients, the training runs, and their interaction."""

from collections.abc import Sequence
from typing import Any

from equipoise.report.figures.figure import NARROW, WIDE, Figure
from equipoise.report.figures.svg import Drawing


def variance_figure(comparisons: Sequence[dict[str, Any]], names: dict[str, str], advice: str) -> Figure | None:
    """Draw the shares of each difference's squared standard error by source; None where they are unknown."""
    shown = [pair for pair in comparisons if pair.get("se_patients") is not None and pair.get("se_seeds") is not None]
    shown = [pair for pair in shown if pair["se_patients"] ** 2 + pair["se_seeds"] ** 2 > 0]
    if not shown:
        return None
    shares = [_shares(pair) for pair in shown]
    rows = tuple(
        (pair["a"], pair["b"], pair["se_patients"], pair["se_seeds"], pair.get("se_runs"), *share)
        for pair, share in zip(shown, shares, strict=True)
    )
    labels = [f"{names[pair['a']]} against {names[pair['b']]}" for pair in shown]
    return Figure(
        "variance",
        "Sources of uncertainty",
        "Shares of the squared standard error of each difference. Left: variation between patients, which only more "
        "patients reduce; right: variation between training runs, which only more runs reduce; middle: interaction of "
        f"patients and runs, which both reduce. {advice}".strip(),
        (_bars(labels, shares, False),),
        ("a", "b", "se_patients", "se_seeds", "se_runs", "share_of_patients", "share_of_both", "share_of_runs"),
        rows,
        (_bars(labels, shares, True),),
    )


def _shares(pair: dict[str, Any]) -> tuple[float, float, float]:
    """Return the shares of patients, of both, and of runs; they sum to 1."""
    seeds, patients = float(pair["se_seeds"]) ** 2, float(pair["se_patients"]) ** 2
    runs = float(pair.get("se_runs") or 0.0) ** 2
    return patients / (seeds + patients), (seeds - runs) / (seeds + patients), runs / (seeds + patients)


def _bars(labels: Sequence[str], shares: Sequence[tuple[float, float, float]], narrow: bool) -> Drawing:
    step, left, width = (40.0, 8.0, NARROW - 16) if narrow else (36.0, 250.0, 500.0)
    words = "; ".join(
        f"{label}: {100 * a:.0f} % patients, {100 * b:.0f} % both, {100 * c:.0f} % training runs"
        for label, (a, b, c) in zip(labels, shares, strict=True)
    )
    drawing = Drawing(
        NARROW if narrow else WIDE, step * len(labels) + 28, "Variance from patients and from training runs", words
    )
    drawing.text(left, 14, "patients", "tick")
    drawing.text(left + width / 2, 14, "both", "tick", "middle")
    drawing.text(left + width, 14, "training runs", "tick", "end")
    for index, (label, share) in enumerate(zip(labels, shares, strict=True)):
        y = 24 + step * index
        bar = y + (17 if narrow else 7)
        first, _, second = label.partition(" against ")
        if narrow:
            drawing.text(8, y + 10, label, "small")
        else:
            drawing.text(0, y + 12, first, "strong")
            drawing.text(0, y + 27, "against " + second)
        at = left
        for part, style in zip(share, ("bar pale c6", "bar pale c0", "bar c0"), strict=True):
            drawing.rect(at, bar, width * part, 16, style)
            at += width * part
        if not narrow:
            drawing.text(780, bar + 12, " / ".join(f"{100 * part:.0f}" for part in share) + " %", "tick")
    return drawing
