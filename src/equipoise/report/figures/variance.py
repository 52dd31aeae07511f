"""Where the doubt about each difference comes from: the patients who were tested, or the luck of training runs."""

from collections.abc import Sequence
from typing import Any

from equipoise.report.figures.figure import NARROW, WIDE, Figure
from equipoise.report.svg import Drawing


def variance_figure(comparisons: Sequence[dict[str, Any]], names: dict[str, str], advice: str) -> Figure | None:
    """Share of each difference's squared standard error from patients and from training runs; None where unknown."""
    shown = [pair for pair in comparisons if pair.get("se_patients") is not None and pair.get("se_seeds") is not None]
    shown = [pair for pair in shown if pair["se_patients"] ** 2 + pair["se_seeds"] ** 2 > 0]
    if not shown:
        return None
    rows = tuple((pair["a"], pair["b"], pair["se_patients"], pair["se_seeds"], _share(pair)) for pair in shown)
    labels = [f"{names[pair['a']]} against {names[pair['b']]}" for pair in shown]
    shares = [_share(pair) for pair in shown]
    return Figure(
        "variance",
        "Where the doubt comes from",
        "Share of each difference's squared standard error that stems from training runs (filled, right) and from the "
        f"patients who happened to be tested (pale, left). {advice}".strip(),
        (_bars(labels, shares, False),),
        ("a", "b", "se_patients", "se_seeds", "share_of_seeds"),
        rows,
        (_bars(labels, shares, True),),
    )


def _share(pair: dict[str, Any]) -> float:
    seeds, patients = float(pair["se_seeds"]) ** 2, float(pair["se_patients"]) ** 2
    return seeds / (seeds + patients)


def _bars(labels: Sequence[str], shares: Sequence[float], narrow: bool) -> Drawing:
    step, left, width = (40.0, 8.0, NARROW - 16) if narrow else (36.0, 250.0, 500.0)
    words = "; ".join(
        f"{label}: {100 * share:.0f} % training runs" for label, share in zip(labels, shares, strict=True)
    )
    drawing = Drawing(
        NARROW if narrow else WIDE, step * len(labels) + 28, "Variance from patients and from training runs", words
    )
    drawing.text(left, 14, "patients", "tick")
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
        split = width * (1 - share)
        drawing.rect(left, bar, split, 16, "bar pale c6")
        drawing.rect(left + split, bar, width - split, 16, "bar c0")
        if not narrow:
            drawing.text(780, bar + 12, f"{100 * share:.0f} % from training runs", "tick")
    return drawing
