"""Validation loss over the epochs of every draw of tuning, with the chosen draws in front."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.learning import whole_ticks
from equipoise.report.figures.svg import Drawing, Frame, nice_ticks
from equipoise.runfolder.read import JobRecord


def draw_curve_figure(draws: Sequence[JobRecord], tuning: Mapping[str, Any]) -> Figure | None:
    """Draw one panel per arm on common axes; None where no draw has a history."""
    shown = [job for job in draws if {"epoch", "validation_loss"} <= job.history.keys()]
    losses = np.concatenate([job.history["validation_loss"] for job in shown]) if shown else np.empty(0)
    finite = losses[np.isfinite(losses)]
    if not finite.size:
        return None
    # A diverging draw would compress all others into one line; it leaves the panel at the top instead.
    top = 1.3 * float(np.median(finite)) if np.median(finite) > 0 else float(finite.max())
    limits = (float(finite.min()) * 0.95, min(float(finite.max()), top))
    limits = limits if limits[0] < limits[1] else (limits[0] - 0.5, limits[0] + 0.5)
    epochs = (1.0, max(2.0, *(float(job.history["epoch"].max()) for job in shown)))
    chosen = {arm["arm"]: {(c["fold"], c["draw"]) for c in arm["chosen"]} for arm in tuning["arms"]}
    panels = tuple(
        _panel(arm, index, [job for job in draws if job.arm == arm], chosen[arm], epochs, limits)
        for index, arm in enumerate(chosen)
    )
    rows = tuple(
        (job.arm, job.fold, job.draw, int(epoch), float(loss), job.status)
        for job in shown
        for epoch, loss in zip(job.history["epoch"], job.history["validation_loss"], strict=True)
    )
    return Figure(
        "tuning-curves",
        "Loss curves of all draws",
        "Validation loss of every draw; the chosen draw is emphasised. A curve that leaves its panel at the top was "
        "far worse than most; the text above each panel counts the failed draws.",
        panels,
        ("arm", "fold", "draw", "epoch", "validation_loss", "status"),
        rows,
    )


def _panel(
    arm: str,
    series: int,
    jobs: Sequence[JobRecord],
    chosen: set[tuple[int, int | None]],
    epochs: tuple[float, float],
    limits: tuple[float, float],
) -> Drawing:
    failed = sum(job.status != "finished" for job in jobs)
    words = f"{len(jobs)} draws, {failed} failed"
    drawing = Drawing(PANEL, 232, f"Loss curves of the draws of {arm}", words)
    drawing.text(0, 12, arm, "head")
    drawing.text(0, 29, words, "small")
    frame = Frame(drawing, 38, 58, PANEL - 44, 130, epochs, limits)
    frame.y_axis(nice_ticks(*limits, 4), "validation loss")
    frame.x_axis(whole_ticks(epochs), "epoch")
    for job in sorted(jobs, key=lambda job: (job.fold, job.draw) in chosen):
        style = "s" if (job.fold, job.draw) in chosen else "s thin"
        if "epoch" in job.history:
            frame.curve(job.history["epoch"], job.history["validation_loss"], f"{style} c{series % 8}")
    return drawing
