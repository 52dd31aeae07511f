"""Gradient norms during training."""

from collections.abc import Sequence

import numpy as np

from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.interval_rows import padded
from equipoise.report.figures.learning import whole_ticks
from equipoise.report.figures.svg import Drawing, Frame, nice_ticks
from equipoise.runfolder.read import JobRecord


def gradient_figure(jobs: Sequence[JobRecord], arms: Sequence[str]) -> Figure | None:
    """Draw one panel per arm on common axes, one line per run; None where no run recorded its gradient norms."""
    shown = [job for job in jobs if job.arm in arms and {"epoch", "gradient_norm"} <= job.history.keys()]
    norms = np.concatenate([job.history["gradient_norm"] for job in shown]) if shown else np.empty(0)
    known = norms[np.isfinite(norms) & (norms > 0)]
    if not known.size:
        return None
    limits = padded([float(np.log10(known.min())), float(np.log10(known.max()))])
    epochs = (1.0, max(2.0, *(float(job.history["epoch"].max()) for job in shown)))
    panels = tuple(
        _panel([job for job in shown if job.arm == arm], arm, index, epochs, limits) for index, arm in enumerate(arms)
    )
    return Figure(
        "gradients",
        "Gradient norms",
        "Mean Euclidean norm of the gradient over all parameters in each epoch, before any clipping; every training "
        "run is a line, on a logarithmic axis.",
        panels,
        ("arm", "fold", "seed", "epoch", "gradient_norm"),
        tuple(
            (job.arm, job.fold, job.seed, int(epoch), float(norm))
            for job in shown
            for epoch, norm in zip(job.history["epoch"], job.history["gradient_norm"], strict=True)
        ),
    )


def _panel(
    jobs: Sequence[JobRecord], arm: str, series: int, epochs: tuple[float, float], limits: tuple[float, float]
) -> Drawing:
    last = ", ".join(f"{job.history['gradient_norm'][-1]:.3g}" for job in jobs)
    drawing = Drawing(PANEL, 214, f"Gradient norms of {arm}", f"in the last epoch: {last or 'no run'}")
    drawing.text(0, 12, arm, "head")
    frame = Frame(drawing, 38, 42, PANEL - 44, 130, epochs, limits)
    frame.y_axis(nice_ticks(*limits, 4), "log₁₀ of the norm")
    frame.x_axis(whole_ticks(epochs), "epoch")
    for job in jobs:
        norms = job.history["gradient_norm"]
        values = np.where(norms > 0, np.log10(np.where(norms > 0, norms, 1.0)), np.nan)
        frame.curve(job.history["epoch"], values, f"s c{series % 8}")
    return drawing
