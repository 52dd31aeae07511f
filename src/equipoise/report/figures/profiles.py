"""Performance profiles: the share of workloads on which an arm was within a factor of the fastest."""

from collections.abc import Sequence
from typing import Any

from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.svg import Drawing, Frame


def profile_figure(profiles: Sequence[dict[str, Any]], kind: str) -> Figure:
    """Draw one panel per arm: its share of workloads over the ratio to the fastest, with all others pale behind it."""
    ratios = [point["ratio"] for point in profiles[0]["profile"]]
    panels = tuple(_panel(profiles, index, ratios) for index in range(len(profiles)))
    return Figure(
        f"profiles-{kind}",
        f"Performance profiles, {kind}",
        "Share of workloads on which the optimizer reached the target within a given multiple of the epochs of the "
        "fastest; pale: the other optimizers. A curve that is high at the left is fast; one that is low at the right "
        "did not reach every target.",
        panels,
        ("optimizer", "ratio", "share"),
        tuple((row["optimizer"], point["ratio"], point["share"]) for row in profiles for point in row["profile"]),
    )


def _panel(profiles: Sequence[dict[str, Any]], own: int, ratios: Sequence[float]) -> Drawing:
    row = profiles[own]
    words = f"fastest on {100 * row['profile'][0]['share']:.0f} %, reached on {100 * row['reached']:.0f} % of workloads"
    drawing = Drawing(PANEL, 214, f"Performance profile of {row['optimizer']}", words)
    drawing.text(0, 12, row["optimizer"], "head")
    # Ratios are at equal distances on the axis, because they grow roughly geometrically.
    frame = Frame(drawing, 38, 42, PANEL - 44, 130, (0.0, len(ratios) - 1.0))
    frame.y_axis([0.0, 0.5, 1.0], "share of workloads")
    bottom = frame.top + frame.height
    for place, ratio in enumerate(ratios):
        if place % 2 == 0 or place == len(ratios) - 1:
            drawing.text(float(frame.x(place)), bottom + 16, f"{ratio:g}", "tick", "middle")
    drawing.line(frame.left, bottom, frame.left + frame.width, bottom, "axis")
    drawing.text(frame.left + frame.width / 2, bottom + 33, "× epochs of the fastest", "label", "middle")
    places = list(range(len(ratios)))
    for index, other in enumerate(profiles):
        if index != own:
            frame.curve(places, [point["share"] for point in other["profile"]], "s thin c6")
    frame.curve(places, [point["share"] for point in row["profile"]], f"s c{own % 8}")
    return drawing
