"""The primary endpoint against latency, memory and size, with the Pareto front."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.svg import Drawing, Frame, nice_ticks
from equipoise.report.text.words import number

Entry = dict[str, Any]


@dataclass(frozen=True)
class _Cost:
    """A cost with its unit on the axis; `scale` converts the stored unit into that of the axis."""

    key: str
    title: str
    axis: str
    scale: float = 1.0

    def of(self, entry: Entry) -> float | None:
        """Return the arm's cost in the unit of the axis; None where it is unknown."""
        value = entry["cost"].get(self.key) if self.key != "parameters" else entry.get("parameters")
        return None if value is None else float(value) * self.scale


COSTS = (
    _Cost("latency_ms", "Against speed", "latency of one case, ms"),
    _Cost("peak_memory_mb", "Against memory", "peak memory of training, MB"),
    _Cost("parameters", "Against size", "parameters, millions", 1e-6),
)


def cost_figure(
    entries: Sequence[Entry],
    endpoint: str,
    label: str,
    rule: tuple[str, float] | None = None,
    tied: Collection[str] = (),
) -> Figure | None:
    """Draw the estimate with its interval against each known cost; None where no arm has an estimate and a cost.

    entries: arms of results.json; "pareto" in their cost marks arms that no other arm dominates.
    rule: name and estimate of the best trivial rule, tied: arms that are statistically tied with the best.
    """
    points = [(i, e, e["endpoints"].get(endpoint) or {}) for i, e in enumerate(entries)]
    points = [(i, e, value) for i, e, value in points if value.get("estimate") is not None]
    known = [cost for cost in COSTS if any(cost.of(e) is not None for _, e, _ in points)]
    if not known:
        return None
    rows = tuple(
        (
            e["name"],
            *(_raw(cost, e) for cost in COSTS),
            v["estimate"],
            v["low"],
            v["high"],
            _front(e),
            e["name"] in tied,
        )
        for _, e, v in points
    )
    marked = f" Dashed: the {rule[0]}, which costs nothing." if rule else ""
    return Figure(
        "quality-and-cost",
        "Quality against cost",
        f"{label} with its 95 % interval against the cost of each arm on this machine (medians over runs; timings "
        "vary between days). Filled: no other arm is at least as good and as cheap in every respect." + marked,
        (_legend(points, tied, rule), *(_panel(points, cost, label, rule) for cost in known)),
        ("arm", *(cost.key for cost in COSTS), "estimate", "low", "high", "pareto", "not_shown_worse_than_the_best"),
        rows,
    )


Points = Sequence[tuple[int, Entry, dict[str, Any]]]


def _raw(cost: _Cost, entry: Entry) -> float | None:
    value = cost.of(entry)
    return None if value is None else value / cost.scale


def _front(entry: Entry) -> bool:
    return bool(entry["cost"].get("pareto"))


def _legend(points: Points, tied: Collection[str], rule: tuple[str, float] | None) -> Drawing:
    """Draw the legend: marker and estimate of every arm, with ties with the best."""
    seen = "; ".join(f"{e['name']}: {number(v['estimate'])}" for _, e, v in points)
    drawing = Drawing(PANEL, 44.0 + 38 * len(points) + (30 if rule else 0), "Arms in these panels", seen)
    drawing.text(0, 12, "Arms", "head")
    y = 36.0
    for index, entry, value in points:
        drawing.marker(8, y - 4, index, 6, "m" if _front(entry) else "hollow")
        drawing.text(24, y, entry["name"], "strong")
        more = " · not shown worse than the best" if entry["name"] in tied and len(tied) > 1 else ""
        drawing.text(24, y + 15, f"{number(value['estimate'])}{more}", "small")
        y += 38
    if rule is not None:
        drawing.line(0, y - 4, 16, y - 4, "reference")
        drawing.text(24, y, f"{rule[0]} {number(rule[1])}")
    return drawing


def _panel(points: Points, cost: _Cost, label: str, rule: tuple[str, float] | None) -> Drawing:
    shown = [(i, e, v, at) for i, e, v in points if (at := cost.of(e)) is not None]
    seen = "; ".join(f"{e['name']}: {v['estimate']:.3f} at {at:.3g}" for _, e, v, at in shown)
    drawing = Drawing(PANEL, 272, f"{label} against {cost.axis}", seen)
    drawing.text(0, 12, cost.title, "head")
    ends = [v[key] for _, _, v in points for key in ("low", "high", "estimate") if v[key] is not None]
    ends += [rule[1]] if rule else []
    room = 0.06 * ((max(ends) - min(ends)) or 0.1)
    limits = (min(ends) - room, max(ends) + room)
    # The cost axis starts at zero, so that distances show ratios; the quality axis does not, or all arms would
    # coincide.
    frame = Frame(drawing, 40, 42, PANEL - 50, 188, (0.0, 1.12 * max(at for *_, at in shown) or 1.0), limits)
    frame.y_axis(nice_ticks(*limits, 5), label)
    frame.x_axis(nice_ticks(*frame.x_range, 3), cost.axis)
    if rule is not None:
        height = float(frame.y(rule[1]))
        drawing.line(frame.left, height, frame.left + frame.width, height, "reference")
    for index, entry, value, at in shown:
        x, colour = float(frame.x(at)), f"c{index % 8}"
        with drawing.hint(f"{entry['name']}: {label} {number(value['estimate'])}; {cost.axis} {at:.3g}"):
            if value["low"] is not None and value["high"] is not None:
                drawing.line(x, float(frame.y(value["low"])), x, float(frame.y(value["high"])), f"s thin {colour}")
            drawing.marker(x, float(frame.y(value["estimate"])), index, 6, "m" if _front(entry) else "hollow")
    return drawing
