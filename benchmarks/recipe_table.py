"""The table of `benchmarks/recipes.py`: what each recipe changes, with intervals, from lines of results."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

ARMS = ("unet", "deeplab", "densenet")
DRAWN = 400
"""Bootstrap samples of patients."""
Tables = dict[str, Any]


def area(truth: Any, scores: Any) -> float:
    """Return the area under the ROC curve; nan where a class is missing."""
    positive = truth == 1
    n, m = int(positive.sum()), int((~positive).sum())
    return float((rankdata(scores)[positive].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float(np.nan)


def lines_of(files: Sequence[Path]) -> list[Tables]:
    """Return the lines of result files that are there."""
    return [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines() if line]


def table(lines: Sequence[Tables]) -> str:
    """Return the table of differences to base, by cohort and arm and over all arms, in Markdown."""
    generator = np.random.default_rng(0)
    good = [line for line in lines if line.get("value") is not None and np.isfinite(line["value"])]
    rows = ["| cohort | recipe | arm | seeds | base | difference (95 % interval) | missed − base |", "|" + "---|" * 7]
    for cohort in dict.fromkeys(line["cohort"] for line in good):
        here = [line for line in good if line["cohort"] == cohort]
        between = _between_seeds(here)
        for recipe in dict.fromkeys(line["recipe"] for line in here if line["recipe"] != "base"):
            found = []
            for arm in (arm for arm in ARMS if any(line["arm"] == arm for line in here)):
                mine, base = (
                    {line["seed"]: line for line in here if (line["arm"], line["recipe"]) == (arm, name)}
                    for name in (recipe, "base")
                )
                if mine and base:
                    found.append(_difference(mine, base, between, generator))
                    rows.append(_row(cohort, recipe, arm, *found[-1]))
            if len(found) > 1:
                base_value, differences, variances, misses, seeds = zip(*found, strict=True)
                variance = float(np.sum(variances)) / len(found) ** 2
                means = [float(np.mean(each)) for each in (base_value, differences, misses)]
                rows.append(_row(cohort, recipe, "**all**", means[0], means[1], variance, means[2], min(seeds)))
    failed = [f"{line['cohort']} {line['arm']} {line['recipe']} {line['seed']}: {line['reason']}" for line in lines
              if line.get("reason")]  # fmt: skip
    return "\n".join(rows + [f"failed: {each}" for each in failed])


def _row(
    cohort: str, recipe: str, arm: str, base: float, difference: float, variance: float, missed: float, seeds: int
) -> str:
    half = 1.96 * variance**0.5
    mark = " *" if abs(difference) > half else ""
    misses = "" if missed != missed else f"{100 * missed:+.1f} %"
    return (
        f"| {cohort} | {recipe} | {arm} | {seeds} | {base:.4f} | {difference:+.4f} "
        f"({difference - half:+.4f} to {difference + half:+.4f}){mark} | {misses} |"
    )


def _between_seeds(lines: Sequence[Tables]) -> float:
    """Return the variance between training runs, pooled over arms and recipes."""
    groups: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        groups.setdefault((line["arm"], line["recipe"]), []).append(line["value"])
    several = [values for values in groups.values() if len(values) > 1]
    degrees = sum(len(values) - 1 for values in several)
    return float(sum(np.var(values) * len(values) for values in several) / degrees) if degrees else 0.0


def _difference(
    mine: Mapping[int, Tables], base: Mapping[int, Tables], between: float, generator: Any
) -> tuple[float, float, float, float, int]:
    """Return base's mean, the difference, its variance, the difference of the share missed, and the seeds."""
    one = next(iter(base.values()))
    patients = np.array(one["patients"])
    places = [np.flatnonzero(patients == name) for name in np.unique(patients)]

    def mean(runs: Mapping[int, Tables], rows: Any) -> float:
        if "cases" in one:
            return float(np.mean([np.array(run["cases"])[rows].mean() for run in runs.values()]))
        truth = np.array(one["truth"])[rows]
        return float(np.mean([area(truth, np.array(run["scores"])[rows]) for run in runs.values()]))

    drawn = []
    for _ in range(DRAWN):
        rows = np.concatenate([places[i] for i in generator.integers(0, len(places), len(places))])
        drawn.append(mean(mine, rows) - mean(base, rows))
    every = np.arange(len(patients))
    start = mean(base, every)
    variance = float(np.nanvar(drawn)) + between * (1 / len(mine) + 1 / len(base))
    missed = [np.mean([np.mean(run["missed"]) for run in runs.values()]) if "missed" in one else np.nan
              for runs in (mine, base)]  # fmt: skip
    return start, mean(mine, every) - start, variance, float(missed[0] - missed[1]), min(len(mine), len(base))
