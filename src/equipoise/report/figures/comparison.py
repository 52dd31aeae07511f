"""The overview of all arms and the forest plot of all their differences."""

from collections.abc import Sequence
from typing import Any

from equipoise.report.figures.figure import Figure
from equipoise.report.figures.interval_rows import Row, Scale, draw_rows, padded
from equipoise.report.figures.svg import Drawing
from equipoise.report.text.words import decisive, interval, listed, number, sampled, several_runs, verdict_in_words


def overview_figure(
    entries: Sequence[dict[str, Any]],
    names: dict[str, str],
    endpoint: str,
    label: str,
    higher_is_better: bool = True,
    folds: int = 1,
) -> Figure:
    """Draw every arm and baseline on the primary endpoint: estimate, interval, single runs.

    entries: arms, then baselines, as in results.json; names: arm → display name. An untuned arm is hollow, in the
    colour of its tuned twin. folds: of a cross-validation.
    """
    rows, table, rules = [], [], []
    order = [entry["name"] for entry in entries]
    for entry in entries:
        value = entry["endpoints"].get(endpoint) or {}
        estimate, low, high = (value.get(key) for key in ("estimate", "low", "high"))
        runs = tuple(run["value"] for run in value.get("by_seed") or () if run["value"] is not None)
        words = "no result" if estimate is None else f"{number(estimate)} ({interval(low, high)})"
        twin, rule = entry.get("untuned_of"), bool(entry.get("baseline"))
        series = 6 if rule else order.index(twin or entry["name"])
        solid = not rule and twin is None
        rows.append(Row(names[entry["name"]], words, series, estimate, low, high, () if rule else runs, solid))
        table.append((entry["name"], estimate, low, high, *runs))
        if rule and estimate is not None:
            rules.append(estimate)
    best = (max if higher_is_better else min)(rules, default=None)
    # The axis fits the arms and the best baseline: one that guesses would press all arms into a corner. Rows outside
    # say so.
    shown = [row for row in rows if row.runs or row.solid or row.estimate == best]
    limits = padded([v for row in shown for v in (row.low, row.high, row.estimate, *row.runs) if v is not None])
    scale = Scale(label, ((best, "reference"),) if best is not None else (), limits=limits)
    title = f"{label} of every arm and baseline"
    seen = "; ".join(f"{row.label}: {row.words}" for row in rows)
    over = sampled(entries, folds)
    runs_wide = max((len(r.runs) for r in rows), default=0)
    return Figure(
        "overview",
        title,
        (
            f"Marker: mean {label} of one training run; bar: 95 % interval over {over}; thin strokes: the single runs."
            if several_runs(entries)
            else f"Marker: {label} of the trained network; bar: 95 % interval over {over}."
        )
        + _hollow(bool(rules), any(entry.get("untuned_of") for entry in entries)),
        (draw_rows(rows, scale, title, seen),),
        ("name", "estimate", "low", "high", *(f"run_{i + 1}" for i in range(runs_wide))),
        tuple(table),
        (draw_rows(rows, scale, title, seen, narrow=True),),
    )


def _hollow(rules: bool, untuned: bool) -> str:
    """Return the sentence on hollow markers; empty without any."""
    kinds = ["trivial baselines (the dashed line is the best of them)"] * rules
    kinds += ["arms with their stated settings, untuned"] * untuned
    return f" Hollow: {listed(kinds)}." if kinds else ""


def forest_figure(
    comparisons: Sequence[dict[str, Any]],
    names: dict[str, str],
    label: str,
    margin: float | None,
    over: str = "patients and training runs",
) -> Figure:
    """Draw all pairwise differences with the intervals on which the verdicts rest; the margin is shaded.

    over: what the intervals are about.
    """
    rows, table = [], []
    for index, pair in enumerate(comparisons):
        low, high = decisive(pair)
        words = "no verdict" if pair["difference"] is None else _difference(pair)
        title = f"{names[pair['a']]} against {names[pair['b']]}"
        solid = pair["verdict"] in ("a_better", "b_better", "equivalent")
        note = verdict_in_words(pair, short=True)
        rows.append(Row(title, words, 0 if solid else 6, pair["difference"], low, high, (), solid, note))
        keys = ("a", "b", "difference", "low", "high", "p", "p_adjusted", "verdict")
        table.append((*(pair[key] for key in keys), margin, index, low, high, pair.get("decisive_level")))
    shade = (-margin, margin) if margin else None
    scale = Scale(f"difference in {label}", ((0.0, "zero"),), shade, _symmetric(rows, margin), _ENDS)
    title = f"Differences in {label} between all pairs of arms"
    seen = "; ".join(f"{row.label}: {row.words}, {row.note}" for row in rows)
    of_one_run = over.startswith("patients and training runs")
    caption = (
        f"Difference of the {'mean ' if of_one_run else ''}{label}; bar: the interval over {over} used for the "
        f"verdict. {_of_which(comparisons)}"
        + (f"Shaded: differences smaller than the margin (±{number(margin)}). " if margin else "")
        + "Filled marker: a verdict; hollow: undecided."
    )
    return Figure(
        "differences",
        title,
        caption,
        (draw_rows(rows, scale, title, seen),),
        (
            *("a", "b", "difference", "low", "high", "p", "p_adjusted", "verdict", "margin", "row"),
            *("decisive_low", "decisive_high", "decisive_level"),
        ),
        tuple(table),
        _narrow_pages(rows, scale, title),
    )


def _narrow_pages(rows: Sequence[Row], scale: Scale, title: str) -> tuple[Drawing, ...]:
    """Return the rows as narrow drawings, none higher than a page of paper; printing breaks between them."""
    drawings = []
    for start in range(0, len(rows), _A_PAGE):
        part = rows[start : start + _A_PAGE]
        name = title if len(rows) <= _A_PAGE else f"{title}, from row {start + 1}"
        seen = "; ".join(f"{row.label}: {row.words}, {row.note}" for row in part)
        drawings.append(draw_rows(part, scale, name, seen, narrow=True))
    return tuple(drawings)


def _of_which(comparisons: Sequence[dict[str, Any]]) -> str:
    """Say which intervals are drawn: those of the verdicts at hand."""
    equal = [pair for pair in comparisons if pair["verdict"] == "equivalent"]
    others = [pair for pair in comparisons if pair["verdict"] != "equivalent" and pair["difference"] is not None]
    kinds = []
    if others:
        level = f"{100 * (others[0].get('decisive_level') or 0.95):.3g} %"
        kinds.append(f"It is the {level} interval" + (" for all comparisons together" if len(comparisons) > 1 else ""))
    if equal:
        which = "where two arms are equivalent, " if others else "It is "
        kinds.append(f"{which}that of the two one-sided tests, at the level given by Holm's method")
    return f"{'; '.join(kinds)}. " if kinds else ""


_A_PAGE = 15
"""Rows of a narrow drawing that fit on a page of paper below a heading."""
_ENDS = ("← second scores higher", "first scores higher →")


def _difference(pair: dict[str, Any]) -> str:
    value, bounds = number(pair["difference"], 3, signed=True), decisive(pair)
    return value if bounds[0] is None else f"{value} ({interval(*bounds)})"


def _symmetric(rows: Sequence[Row], margin: float | None) -> tuple[float, float]:
    # Symmetric around zero, because readers take the middle of the axis for no difference.
    values = [abs(v) for r in rows for v in (r.low, r.high, r.estimate, *(r.wide or ())) if v is not None]
    reach = 1.08 * max([*values, 1.3 * (margin or 0.0), 1e-3])
    return -reach, reach
