"""Every arm within every group of one attribute, with the number of patients of each interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.report.figures.figure import Figure
from equipoise.report.figures.interval_rows import Row, Scale, draw_rows
from equipoise.report.text.subgroups import variation_in_words, words_of
from equipoise.report.text.words import interval, number


def subgroup_figure(
    subgroup: Mapping[str, Any],
    arms: Sequence[str],
    names: Mapping[str, str],
    label: str,
    noun: str,
    over: str = "patients and training runs",
) -> Figure:
    """Draw one attribute of results.json's `subgroups`; a group that is too small is shown as such.

    arms: without baselines; names: display names of arms and baselines; noun: the word for a case (nodule, case).
    over: what the intervals are about.
    """
    rows, table = [], []
    for group in subgroup["groups"]:
        large_enough = not group["reason"]
        count = f"{group['n_patients']} patients, {group['n_cases']} {noun}s"
        rows.append(
            Row(group["value"], count if large_enough else f"{count}: too few for an estimate", 6, None, None, None)
        )
        for series, (arm, value) in enumerate(group["arms"].items()):
            shown = (value["estimate"], value["low"], value["high"]) if large_enough else (None, None, None)
            table.append((group["value"], arm, group["n_patients"], group["n_cases"], *shown))
            if large_enough:
                words = f"{number(shown[0])} ({interval(shown[1], shown[2])})"
                estimate, low, high = shown
                rows.append(Row(names.get(arm, arm), words, series, estimate, low, high, (), arm in arms))
    title = f"{label} by {words_of(subgroup['attribute'])}"
    seen = "; ".join(f"{row.label}: {row.words}" for row in rows)
    variation = variation_in_words(subgroup["tests"])
    scale = Scale(label)
    return Figure(
        f"subgroups-{subgroup['attribute']}",
        title,
        f"{label} of every arm within each group of test {noun}s, with 95 % intervals over {over}. "
        f"Exploratory; tests are adjusted for their number. {variation}",
        (draw_rows(rows, scale, title, seen),),
        ("group", "name", "patients", "cases", "estimate", "low", "high"),
        tuple(table),
        (draw_rows(rows, scale, title, seen, narrow=True),),
    )
