"""Learning curves: loss over epochs of every run, with the epoch that validation selected."""

from collections.abc import Sequence

import numpy as np

from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.svg import Drawing, Frame, nice_ticks
from equipoise.runfolder.read import JobRecord

_COLUMNS = ("epoch", "train_loss", "validation_loss")


def learning_figure(jobs: Sequence[JobRecord], arms: Sequence[str]) -> Figure | None:
    """Draw one panel per arm on common axes; None where no run has a history."""
    shown = [job for job in jobs if set(_COLUMNS) <= job.history.keys()]
    if not shown:
        return None
    losses = np.concatenate([job.history[key] for job in shown for key in _COLUMNS[1:]])
    finite = losses[np.isfinite(losses)]
    # A percentile and not the maximum: one spike of one run would flatten all curves.
    top = float(np.percentile(finite, 99.5)) if finite.size else 1.0
    bottom = float(finite.min()) if finite.size else 0.0
    room = 0.05 * ((top - bottom) or 1.0)
    limits = (bottom - room, top + room)
    epochs = (1.0, max(2.0, *(float(job.history["epoch"].max()) for job in shown)))
    panels = tuple(
        _panel([job for job in shown if job.arm == arm], arm, index, epochs, limits) for index, arm in enumerate(arms)
    )
    rows = tuple(
        (job.arm, job.fold, job.seed, int(epoch), float(train), float(held), job.done.get("chosen_epoch"))
        for job in shown
        for epoch, train, held in zip(
            *(job.history[k] for k in ("epoch", "train_loss", "validation_loss")), strict=True
        )
    )
    return Figure(
        "learning",
        "Learning curves",
        "Loss per epoch of every training run: solid on validation patients, dashed on training patients. The marker "
        "is the epoch whose network was kept, chosen on validation alone; a solid line that rises after it "
        "shows overfitting.",
        panels,
        ("arm", "fold", "seed", "epoch", "train_loss", "validation_loss", "chosen_epoch"),
        rows,
    )


def _panel(
    jobs: Sequence[JobRecord], arm: str, series: int, epochs: tuple[float, float], limits: tuple[float, float]
) -> Drawing:
    chosen = [str(job.done.get("chosen_epoch")) for job in jobs if job.done.get("chosen_epoch") is not None]
    words = f"{len(jobs)} runs; chosen epochs {', '.join(chosen) or 'none'}."
    drawing = Drawing(PANEL, 214, f"Learning curves of {arm}", words)
    drawing.text(0, 12, arm, "head")
    frame = Frame(drawing, 34, 42, PANEL - 40, 130, epochs, limits)
    frame.y_axis(nice_ticks(*limits, 4), "loss")
    frame.x_axis(whole_ticks(epochs), "epoch")
    colour = f"c{series % 8}"
    for job in jobs:
        with drawing.hint(f"{arm}, fold {job.fold + 1}, seed {job.seed}"):
            frame.curve(job.history["epoch"], job.history["train_loss"], f"s thin dash {colour}")
            frame.curve(job.history["epoch"], job.history["validation_loss"], f"s {colour}")
    for job in jobs:
        epoch = job.done.get("chosen_epoch")
        at = np.flatnonzero(job.history["epoch"] == epoch)
        if at.size and np.isfinite(job.history["validation_loss"][at[0]]):
            loss = job.history["validation_loss"][at[0]]
            drawing.marker(float(frame.x(job.history["epoch"][at[0]])), float(frame.y(loss)), series, 4.5)
    if not jobs:
        drawing.text(PANEL / 2, 106, "no run left a history", "note", "middle")
    return drawing


def whole_ticks(epochs: tuple[float, float]) -> list[float]:
    """Return round whole numbers for an axis of epochs, draws or ranks; its ends where there are fewer than two."""
    ticks = [tick for tick in nice_ticks(*epochs, 5) if tick == int(tick) and tick >= 1]
    return ticks if len(ticks) > 1 else list(epochs)
