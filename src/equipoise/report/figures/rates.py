"""The distribution of per-element learning rates of the adaptive-momentum family during training."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.interval_rows import padded
from equipoise.report.figures.svg import Drawing, Frame, nice_ticks
from equipoise.runfolder.read import JobRecord

Columns = dict[str, NDArray[np.float64]]
LEVELS = ("0", "0.05", "0.25", "0.5", "0.75", "0.95", "1")
"""Quantiles over all elements of all parameters, as named in rates.csv."""


def rate_figures(jobs: Sequence[JobRecord], arms: Sequence[str]) -> list[Figure]:
    """Draw two figures, of eta and of beta, with a panel for each arm with recorded rates; none without any.

    jobs: the first run of an arm that has rates is shown. Rates are drawn as multiples of the scheduled learning rate,
    so that a schedule does not hide the effect of the rule.
    """
    # The first run alone: quantiles over elements and over runs in one band could not be told apart.
    shown = {}
    for arm in arms:
        job = next((job for job in jobs if job.arm == arm and job.rates), None)
        if job is not None:
            shown[arm] = job.rates
    if not shown:
        return []
    how = "Dark: the middle half of all elements; pale: 5 to 95 %; dotted: the smallest and largest. First run of each."
    return [
        _figure(
            "rates", "Learning rates over training", {arm: _factors(table) for arm, table in shown.items()}, shown,
            "log₁₀ of η ÷ scheduled rate",
            "How far the rule has moved the rate η of each element from the scheduled rate: 0 is unchanged, 1 is "
            f"tenfold. {how}",
        ),
        _figure(
            "betas", "β over training", {arm: _columns(table, "beta") for arm, table in shown.items()}, shown, "β",
            f"The β of each element, from which its rate follows: the rate falls where β rises. {how}",
        ),
    ]  # fmt: skip


def _columns(table: Columns, name: str) -> list[NDArray[np.float64]]:
    return [table[f"{name}_{level}"] for level in LEVELS]


def _factors(table: Columns) -> list[NDArray[np.float64]]:
    """Return log10 of the rates over the scheduled rate; nan where the schedule is zero or a rate is not finite."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values = [np.log10(rate / table["lr"]) for rate in _columns(table, "rate")]
    return [np.where(np.isfinite(value), value, np.nan) for value in values]


def _figure(
    name: str, title: str, drawn: dict[str, list[NDArray[np.float64]]], tables: dict[str, Columns], label: str,
    caption: str,
) -> Figure:  # fmt: skip
    panels = tuple(
        _panel(arm, index, tables[arm]["epoch"], values, (title, label))
        for index, (arm, values) in enumerate(drawn.items())
    )
    quantity = "rate" if name == "rates" else "beta"
    rows = tuple(
        (arm, float(epoch), float(lr), *(float(table[f"{quantity}_{level}"][at]) for level in LEVELS))
        for arm, table in tables.items()
        for at, (epoch, lr) in enumerate(zip(table["epoch"], table["lr"], strict=True))
    )
    columns = ("arm", "epoch", "lr", *(f"{quantity}_{level}" for level in LEVELS))
    return Figure(name, title, caption, panels, columns, rows)


def _panel(
    arm: str, series: int, epochs: NDArray[np.float64], values: list[NDArray[np.float64]], words: tuple[str, str]
) -> Drawing:
    title, label = words
    finite = np.concatenate(values)
    finite = finite[np.isfinite(finite)]
    limits = padded([float(finite.min()), float(finite.max())] if finite.size else [])
    least, _, low, _, high, _, most = (value[-1] for value in values)
    # β falls where the rate rises, so its columns, which are those of the rates, may run downwards.
    (low, high), (least, most) = sorted((low, high)), sorted((least, most))
    seen = f"at the end, middle half {low:.3g} to {high:.3g}, all {least:.3g} to {most:.3g}"
    drawing = Drawing(PANEL, 214, f"{title} of {arm}", seen)
    drawing.text(0, 12, arm, "head")
    frame = Frame(drawing, 38, 42, PANEL - 44, 130, (0.0, float(epochs.max())), limits)
    frame.y_axis(nice_ticks(*limits, 4), label)
    frame.x_axis(nice_ticks(*frame.x_range, 5), "epoch")
    whole = np.isfinite(np.stack(values)).all(axis=0)
    for low, high in ((1, 5), (2, 4)):
        frame.band(epochs[whole], values[low][whole], values[high][whole], f"area c{series % 8}")
    frame.curve(epochs, values[3], f"s c{series % 8}")
    for extreme in (values[0], values[6]):
        frame.curve(epochs, extreme, f"s thin dash c{series % 8}")
    return drawing
