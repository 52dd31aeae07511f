"""What quality costs: the primary endpoint against latency, and bars of what every arm takes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from equipoise.report.figures.figure import NARROW, WIDE, Figure
from equipoise.report.svg import Drawing, Frame, nice_ticks


def cost_figure(entries: Sequence[dict[str, Any]], endpoint: str, label: str) -> Figure | None:
    """Estimate with interval against latency of one case; None where no arm has both.

    entries: arms of results.json; "pareto" in their cost says that no other arm is both better and faster.
    """
    points = [(i, e, e["endpoints"].get(endpoint) or {}, e["cost"].get("latency_ms")) for i, e in enumerate(entries)]
    points = [(i, e, value, ms) for i, e, value, ms in points if ms is not None and value.get("estimate") is not None]
    if not points:
        return None
    rows = tuple(
        (e["name"], ms, v["estimate"], v["low"], v["high"], bool(e["cost"].get("pareto"))) for _, e, v, ms in points
    )
    return Figure(
        "quality-and-cost",
        "Quality against speed",
        f"{label} with its 95 % interval against the time for one case on this machine (median over runs; timings vary "
        "from day to day). Filled: no other arm has both a higher estimate and a lower latency.",
        (_scatter(points, label, WIDE),),
        ("arm", "latency_ms", "estimate", "low", "high", "pareto"),
        rows,
        (_scatter(points, label, NARROW),),
    )


def _scatter(points: list[tuple[int, dict[str, Any], dict[str, Any], float]], label: str, width: float) -> Drawing:
    seen = "; ".join(f"{e['name']}: {v['estimate']:.3f} at {ms:.2g} ms" for _, e, v, ms in points)
    drawing = Drawing(width, 300, f"{label} against latency", seen)
    latencies = np.array([ms for *_, ms in points])
    ends = [v[key] for _, _, v, _ in points for key in ("low", "high") if v[key] is not None]
    ends += [v["estimate"] for _, _, v, _ in points]
    room = 0.08 * ((max(ends) - min(ends)) or 0.1)
    limits = (min(ends) - room, max(ends) + room)
    frame = Frame(drawing, 44, 30, width - 56, 220, (0.0, 1.25 * float(latencies.max())), limits)
    frame.y_axis(nice_ticks(*limits, 5), label)
    frame.x_axis(nice_ticks(*frame.x_range, 6 if width > 400 else 4), "latency of one case, ms")
    taken: list[tuple[float, float]] = []
    for index, entry, value, latency in points:
        at, colour = float(frame.x(latency)), f"c{index % 8}"
        if value["low"] is not None and value["high"] is not None:
            drawing.line(at, float(frame.y(value["low"])), at, float(frame.y(value["high"])), f"s thin {colour}")
        y = float(frame.y(value["estimate"]))
        drawing.marker(at, y, index, 6, "m" if entry["cost"].get("pareto") else "hollow")
        _label(drawing, entry["name"], at, y, taken)
    return drawing


def _label(drawing: Drawing, name: str, x: float, y: float, taken: list[tuple[float, float]]) -> None:
    """Beside the marker, on the side with room; moved down until it covers no other label."""
    left = x > drawing.width * 0.6
    at = y + 4
    while any(abs(at - other) < 14 and abs(x - across) < 190 for across, other in taken):
        at += 14
    taken.append((x, at))
    drawing.text(x - 12 if left else x + 12, at, name, "halo strong", "end" if left else "start")
