"""The tables of a report as rows of text: endpoints, rates, failures, and the numbers of the verdicts."""

from collections.abc import Mapping
from textwrap import shorten
from typing import Any

from equipoise.report.results.entries import ONE_SCORE
from equipoise.report.results.interim_analysis import DECIDED
from equipoise.report.text.amounts import about
from equipoise.report.text.pair_methods import computed
from equipoise.report.text.run_spread import spread_in_words
from equipoise.report.text.verdicts import pair_sentence
from equipoise.report.text.words import (
    decisive,
    interval,
    label_of,
    listed,
    number,
    p_value,
    percentage,
    plural,
    verdict_in_words,
)
from equipoise.statistics.endpoints import SENSITIVITY, SPECIFICITY, described
from equipoise.statistics.near_ends import has_ends
from equipoise.statistics.power import guard_decides


def endpoint_table(results: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return rows of (name, is a baseline, cells) with a cell per endpoint, for all arms and baselines."""
    entries = [*results["arms"], *results["untuned"], *results["baselines"]]
    keys = list(dict.fromkeys(key for entry in entries for key in entry["endpoints"]))
    rows = []
    for entry in entries:
        cells = [entry["endpoints"].get(key) or {} for key in keys]
        rows.append((names[entry["name"]], bool(entry.get("baseline")), _said_once([_cell(cell) for cell in cells])))
    heads = [label_of(results, key) + _by_chance(key, results) for key in keys]
    return {"heads": heads, "rows": rows}


# Average precision of guessing is the prevalence: 0.3 is good for a rare class and useless for a common one.
def _by_chance(endpoint: str, results: Mapping[str, Any]) -> str:
    """Return the value of guessing where it depends on the prevalence, as for average precision; else empty."""
    counts = list(results["cohort"]["split_classes"]["test"].values())
    if described(endpoint).chance != "prevalence" or len(counts) < 2 or not sum(counts):
        return ""
    classes = list(results["cohort"]["classes"])
    positive = classes.index(results["endpoints"].get("positive") or classes[1])
    share = counts[positive] / sum(counts) if len(counts) == 2 else 1 / len(counts)
    return f" (prevalence {number(share, 2)})"


def estimate_table(results: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Return details of each arm's primary estimate: every run, the interval's method, and the second interval."""
    rows = []
    for entry in (*results["arms"], *results["baselines"]):
        value = entry["endpoints"].get(results["endpoints"]["primary"]) or {}
        if value.get("estimate") is None:
            continue
        beside = value.get("beside") or {}
        runs = ", ".join(number(run["value"]) for run in value.get("by_seed") or ())
        second = f"{interval(beside['low'], beside['high'])} ({beside['method']})" if beside else "–"
        counts = f"{value['n_patients']:,} / {value['n_cases']:,}"
        counts += f" / {value['n_events']:,}" if value.get("n_events") is not None else " / –"
        cells = [runs, number(value.get("seed_sd"), 4), _error(value.get("se")), number(value.get("df"), 1)]
        exact = value["method"] == ONE_SCORE
        interval_cell = ONE_SCORE if exact else f"{interval(value['low'], value['high'])} ({value['method']})"
        rows.append((names[entry["name"]], [number(value["estimate"], 4), *cells, interval_cell, second, counts]))
    return rows


def _said_once(cells: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the cells of a row, with a shared reason for missing numbers in the first cell only."""
    # The reason usually holds for all endpoints of an arm, and repeated in each cell it would hide the numbers.
    reasons: set[str] = set()
    out = []
    for value, words in cells:
        repeated = value == "–" and words in reasons
        reasons.add(words)
        out.append((value, "" if repeated else words))
    return out


def rate_table(results: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Return per-class rates and the operating point of each arm and baseline; None for segmentation."""
    entries = [entry for entry in (*results["arms"], *results["baselines"]) if entry.get("class_rates")]
    if not entries:
        return None
    points = any(entry.get("operating_point") for entry in entries)
    rows = []
    for entry in entries:
        cells = [_cell(rate, percent=True) for rate in entry["class_rates"].values()]
        if points:
            point = entry.get("operating_point") or {}
            cells += [_cell(point.get(key) or {}, percent=True) for key in (SENSITIVITY.name, SPECIFICITY.name)]
        rows.append((names[entry["name"]], bool(entry.get("baseline")), cells))
    return {"classes": list(entries[0]["class_rates"]), "points": points, "rows": rows}


def tuning_table(results: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Return tuned against untuned, and every draw of every arm; None for a trial without tuning."""
    tuning = results["tuning"]
    if tuning is None:
        return None
    counts = [len(arm["draws"]) for arm in tuning["arms"]]
    budget = plural(counts[0], "draw") if tuning["equal"] else f"{min(counts)} to {max(counts)} draws"
    rule = "lowest validation loss" if tuning["select"] == "loss" else "best primary endpoint on validation patients"
    return {
        "budget": f"{budget} of {plural(tuning['epochs'], 'epoch')}",
        "rule": rule,
        "metric": tuning["metric"].replace("_", " "),
        "pairs": sentences(results, "untuned_comparisons"),
        "arms": [(names[arm["arm"]], _ranges(arm["space"]), _draw_rows(arm)) for arm in tuning["arms"]],
    }


def _ranges(space: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} {kind} {list(limits)}" for name, one in space.items() for kind, limits in one.items())


def _draw_rows(arm: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return number, settings, validation value (or reason of failure) and mark of every draw."""
    rows = []
    for draw in arm["draws"]:
        chosen = [choice["fold"] for choice in arm["chosen"] if choice["draw"] == draw["draw"]]
        settings = ", ".join(f"{name.partition('.')[2]} {value}" for name, value in draw["settings"].items())
        outcome = number(draw["value"], 4) if draw["value"] is not None else f"failed: {_short(draw['reasons'])}"
        mark = "" if not chosen else "chosen" if len(arm["chosen"]) == 1 else f"chosen in folds {chosen}"
        rows.append((str(draw["draw"] + 1), settings, outcome, mark))
    return rows


def _short(reasons: list[str]) -> str:
    return shorten(reasons[0], 90, placeholder=" …") if reasons else "no value in its chosen epoch"


def grouped_failures(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Group failures of one arm with one reason into one line, so that a common cause is read once."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    folds = results["cohort"]["folds"] > 1
    for row in results["failures"]:
        run = f"fold {row['fold']} seed {row['seed']}" if folds else f"seed {row['seed']}"
        groups.setdefault((row["arm"], row["status"], str(row["reason"])), []).append(run)
    return [
        {"arm": arm, "status": status, "reason": reason, "runs": listed(runs)}
        for (arm, status, reason), runs in groups.items()
    ]


def sentences(results: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the comparisons under one key of results.json, each with its verdict and its method in sentences."""
    alpha = float(results["endpoints"].get("alpha", 0.05))
    return [
        {
            **pair,
            "sentence": pair_sentence(pair),
            "words": verdict_in_words(pair),
            "computed": computed(pair, alpha),
        }
        for pair in results[key]
    ]


def in_sequence(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the comparisons of secondary endpoints that have a margin, each with its verdict in a sentence."""
    return [pair for pair in sentences(results, "secondary_comparisons") if pair.get("confirmed") is not None]


def statistics_table(results: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Return all numbers of the primary comparisons; None where there is no comparison."""
    pairs = [
        pair for pair in (*results["comparisons"], *results["baseline_comparisons"]) if pair["difference"] is not None
    ]
    if not pairs:
        return None
    seeds = list(dict.fromkeys(need["seeds"] for pair in pairs for need in pair["needed"]))
    heads = [
        "difference",
        "95 %, this pair",
        "95 %, simultaneous",
        "90 %, equivalence",
        "used for the verdict",
        "SE",
        "SE patients",
        "SE runs",
        "df",
        "p",
        "p adjusted",
    ]
    heads += [
        "p equivalence",
        "p non-inferiority",
        "detectable",
        *(f"patients, {plural(count, 'run')}" for count in seeds),
    ]
    rows = [(f"{names[pair['a']]} − {names[pair['b']]}", _numbers(pair, seeds)) for pair in pairs]
    ends = _NEAR_ENDS if has_ends(described(results["endpoints"]["primary"])) else ""
    return {"heads": heads, "rows": rows, "spread": spread_in_words(results), "equivalence": ends}


_NEAR_ENDS = (
    "; for rates and areas it also covers the interval recovered from those of both arms, because near the ends of the "
    "range a standard error says too little, and it may then be wider than the interval of 95 %"
)


def _numbers(pair: Mapping[str, Any], seeds: list[int]) -> list[str]:
    needed = {need["seeds"]: need for need in pair["needed"]}
    return [
        number(pair["difference"], 4, signed=True),
        interval(pair["low"], pair["high"], 4),
        interval(pair["simultaneous"][0], pair["simultaneous"][1], 4),
        interval(pair["equivalence"][0], pair["equivalence"][1], 4),
        _of_the_verdict(pair),
        *(_error(pair[key]) for key in ("se", "se_patients", "se_seeds")),
        number(pair["df"], 1),
        *(p_value(pair[key]) for key in ("p", "p_adjusted", "p_equivalence", "p_non_inferior")),
        _detectable(pair),
        *(_planned(needed[count], pair["verdict"]) if count in needed else "–" for count in seeds),
    ]


def _of_the_verdict(pair: Mapping[str, Any]) -> str:
    """Format the interval on which the verdict rests, with its level."""
    level = pair.get("decisive_level")
    return interval(*decisive(pair), 4) + ("" if level is None else f" ({100 * level:.3g} %)")


def _detectable(pair: Mapping[str, Any]) -> str:
    """Format the detectable difference; beside it that of the tests alone, where a guard sets it."""
    alone = pair.get("detectable_by_tests")
    beside = f" ({number(alone)} by the tests alone)" if guard_decides(pair["detectable"], alone) else ""
    return number(pair["detectable"]) + beside


def _error(value: float | None) -> str:
    """Format a standard error; 0 is no estimate of one."""
    return number(value or None, 4)


def _planned(need: Mapping[str, Any], verdict: str) -> str:
    """Format the patients needed with their range; a comparison that has its verdict needs no more of them."""
    if verdict in DECIDED:
        return "decided"
    if need["patients"] is None:
        return "none is enough"
    low, high = (about(need[end]) if need[end] is not None else "∞" for end in ("low", "high"))
    return f"{about(need['patients'])} ({low} to {high})"


def _cell(value: Mapping[str, Any], percent: bool = False) -> tuple[str, str]:
    estimate, low, high = (value.get(key) for key in ("estimate", "low", "high"))
    if estimate is None:
        return "–", str(value.get("reason") or "")
    if percent:
        ends = "" if low is None or high is None else f"{percentage(low)} to {percentage(high)}"
        return f"{percentage(estimate)} %", ends
    return number(estimate), ONE_SCORE if value.get("method") == ONE_SCORE else interval(low, high)
