"""Make all figures of a run from results and predictions; a figure without data is omitted."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from equipoise.evaluation.candidate_table import FINDINGS
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.roc import Run
from equipoise.report.figures.calibration import calibration_figure, decision_figure
from equipoise.report.figures.comparison import forest_figure, overview_figure
from equipoise.report.figures.confusion import confusion_figure
from equipoise.report.figures.cost import cost_figure
from equipoise.report.figures.distribution import distribution_figure
from equipoise.report.figures.draw_curves import draw_curve_figure
from equipoise.report.figures.draws import best_after_figure, draw_rank_figure
from equipoise.report.figures.figure import Figure
from equipoise.report.figures.flow import Part, flow_figure
from equipoise.report.figures.froc import Run as DetectorRun
from equipoise.report.figures.froc import froc_figure
from equipoise.report.figures.gradients import gradient_figure
from equipoise.report.figures.learning import learning_figure
from equipoise.report.figures.rates import rate_figures
from equipoise.report.figures.roc import roc_figure
from equipoise.report.figures.subgroups import subgroup_figure
from equipoise.report.figures.variance import variance_figure
from equipoise.report.results.calibration import Rows, calibration_rows, mean_error
from equipoise.report.results.recommendation import QUALITY, best_baseline
from equipoise.report.results.results import positive_index
from equipoise.report.results.rows import part
from equipoise.report.text.display_names import display_names
from equipoise.report.text.words import case_noun, interval, label_of, number, sampled
from equipoise.runfolder.read import JobRecord, RunFolder
from equipoise.statistics.endpoints import on_curve


def all_figures(run: RunFolder, results: dict[str, Any]) -> list[Figure]:
    """Return every figure for which the run has data."""
    names, plan, classes = display_names(run), results["endpoints"], list(results["cohort"]["classes"])
    label = label_of(results, plan["primary"])
    entries = [*results["arms"], *results["baselines"]]
    everyone = [*results["arms"], *results["untuned"], *results["baselines"]]
    advice = (results["variance"] or {}).get("advice", "")
    known = any((entry["endpoints"].get(plan["primary"]) or {}).get("estimate") is not None for entry in entries)
    folds, runs = results["cohort"]["folds"], sampled(results["arms"])
    compared = any(pair["difference"] is not None for pair in results["comparisons"])
    drawn = [
        overview_figure(everyone, names, plan["primary"], label, plan["higher_is_better"], folds) if known else None,
        forest_figure(results["comparisons"], names, label, plan.get("margin"), runs) if compared else None,
        variance_figure([p for p in results["comparisons"] if p.get("about") != "networks"], names, advice),
        distribution_figure(_tests(run), plan["primary"], label, case_noun(run.lock)),
        *(
            subgroup_figure(subgroup, run.arms(), names, label, case_noun(run.lock), sampled(results["arms"], folds))
            for subgroup in results["subgroups"]
        ),
        *_tuning(run, results),
        learning_figure(run.jobs, run.arms()),
        gradient_figure(run.jobs, run.arms()),
        *rate_figures(run.jobs, [*run.arms(), *(str(arm["name"]) for arm in run.untuned())]),
        confusion_figure(entries, names, classes),
        *_from_scores(run, results, names),
        _from_candidates(run, results, names),
        cost_figure(results["arms"], plan["primary"], label, _best_rule(results, names), _tied(results)),
        None if run.sources else _flow(run, results),
    ]
    return [figure for figure in drawn if figure is not None]


RANKS_CAPTION = (
    "Mean rank of every arm by its best validation value, if each had been given k of its draws (over all subsets). "
    "Lines that cross mean that the answer depends on the budget for tuning."
)


def _tuning(run: RunFolder, results: dict[str, Any]) -> list[Figure | None]:
    tuning = results["tuning"]
    if tuning is None:
        return []
    label = tuning["metric"].replace("_", " ")
    return [
        best_after_figure(tuning, label),
        draw_rank_figure(tuning["ranks"], "The ranking after fewer draws", RANKS_CAPTION),
        draw_curve_figure(run.draws, tuning),
    ]


def _from_scores(run: RunFolder, results: dict[str, Any], names: dict[str, str]) -> list[Figure | None]:
    """Make the figures that need the class scores of every test case: ROC, calibration and net benefit."""
    tests = _tests(run)
    described = {entry["name"] for entry in results["arms"] if entry.get("confusion")}
    scored = {name: one for name, one in tests.items() if one.classes and name in described}
    if not scored or run.lock.get("calls_only"):
        return []
    index = positive_index(run)
    classes = list(results["cohort"]["classes"])
    rule = _rule(run, results)
    positive = "each class" if index is None else classes[index]
    curves = {name: _runs(run.finished(name), index) for name in scored}
    shown = None if rule is None else (names[rule], _runs(run.finished(rule), index))
    figures: list[Figure | None] = [roc_figure(curves, shown, positive, _scores(results, on_curve("roc").name))]
    # Scores that are no probabilities (logits of an audit) still have a ROC curve, but no calibration.
    rows = {name: calibration_rows(table, index) for name, table in scored.items() if _probabilities(table)}
    if rows:
        outcome = "being right" if index is None else positive
        figures.append(calibration_figure(rows, {name: mean_error(one) for name, one in rows.items()}, outcome))
    if rows and index is not None:
        figures.append(decision_figure(rows, _rule_rows(run, rule, names, index), positive))
    return figures


def _from_candidates(run: RunFolder, results: dict[str, Any], names: dict[str, str]) -> Figure | None:
    """Make the FROC curves; None where the arms are no detectors."""
    sign = 1 if results["endpoints"]["higher_is_better"] else -1
    rules = _detectors(run, [entry["name"] for entry in results["baselines"]])
    # A rule that marks nothing has no curve, however good its estimate is among the rules.
    marking = [e for e in results["baselines"] if any(len(marks.score) for marks, _ in rules.get(e["name"], []))]
    best = best_baseline(marking, results["endpoints"]["primary"], sign)
    rule = None if best is None else (names[best["name"]], rules[best["name"]])
    return froc_figure(_detectors(run, run.arms()), _scores(results, on_curve("froc").name), rule, case_noun(run.lock))


def _detectors(run: RunFolder, names: Sequence[str]) -> dict[str, list[DetectorRun]]:
    """Return the test candidates of those arms or rules that are detectors, per run."""
    jobs = [(name, part([job], "test")) for name in names for job in run.finished(name)]
    tables = [(name, table) for name, table in jobs if table is not None and table.candidates is not None]
    patients = np.unique(np.concatenate([table.patient for _, table in tables])) if tables else np.empty(0)
    detectors: dict[str, list[DetectorRun]] = {}
    for name, table in tables:
        rows, tested = table.where(np.argsort(table.case)), table.candidates
        if tested is not None:
            marks = tested.where(tested.split == "test").marks(rows.case, rows.metrics[FINDINGS])
            detectors.setdefault(name, []).append((marks, np.searchsorted(patients, rows.patient)))
    return detectors


def _best_rule(results: dict[str, Any], names: dict[str, str]) -> tuple[str, float] | None:
    plan = results["endpoints"]
    best = best_baseline(results["baselines"], plan["primary"], 1 if plan["higher_is_better"] else -1)
    return None if best is None else (names[best["name"]], float(best["endpoints"][plan["primary"]]["estimate"]))


def _tied(results: dict[str, Any]) -> list[str]:
    """Return the best arm and those tied with it; none where a trivial rule is recommended."""
    advice = results["recommendation"][QUALITY]
    return [] if advice["arm"] is None or advice["beats_baseline"] is False else [advice["arm"], *advice["tied_with"]]


def _tests(run: RunFolder) -> dict[str, Predictions]:
    """Return the test rows of every arm that has any."""
    tables = {name: part(run.finished(name), "test") for name in run.arms()}
    return {name: table for name, table in tables.items() if table is not None}


def _rule(run: RunFolder, results: dict[str, Any]) -> str | None:
    """Return the trivial rule for the curves: the best baseline whose scores differ between cases."""
    sign = 1 if results["endpoints"]["higher_is_better"] else -1
    # A rule with one score for all cases has no curve, only the diagonal.
    entries = []
    for entry in results["baselines"]:
        table = part(run.finished(entry["name"]), "test")
        if table is not None and table.classes and np.ptp(table.scores, axis=0).max() > 0:
            entries.append(entry)
    best = best_baseline(entries, results["endpoints"]["primary"], sign)
    return None if best is None else str(best["name"])


def _rule_rows(run: RunFolder, rule: str | None, names: dict[str, str], index: int) -> tuple[str, Rows] | None:
    table = None if rule is None else part(run.finished(rule), "test")
    if rule is None or table is None or not _probabilities(table):
        return None
    return names[rule], calibration_rows(table, index)


def _runs(jobs: Sequence[JobRecord], index: int | None) -> list[Run]:
    tables = [table for table in (part([job], "test") for job in jobs) if table is not None]
    out = []
    for table in tables:
        indices = range(len(table.classes)) if index is None else [index]
        positive = np.stack([table.truth == question for question in indices])
        out.append(Run(positive, table.scores[:, list(indices)].T, table.patient))
    return out


def _scores(results: dict[str, Any], endpoint: str) -> dict[str, str]:
    """Return the text of an endpoint with its interval, for each arm's curve, where the trial has it."""
    label = label_of(results, endpoint)
    values = {arm["name"]: arm["endpoints"].get(endpoint) or {} for arm in results["arms"]}
    return {
        name: f"{label} {number(value['estimate'])} ({interval(value['low'], value['high'])})"
        for name, value in values.items()
        if value.get("estimate") is not None
    }


def _probabilities(table: Predictions) -> bool:
    return bool(((table.scores >= 0) & (table.scores <= 1)).all())


def _flow(run: RunFolder, results: dict[str, Any]) -> Figure:
    cohort = results["cohort"]
    whole = Part("Analysed", cohort["patients"], cohort["cases"], cohort["classes"])
    parts = [
        Part(name.capitalize(), cohort["split_patients"][name], cohort["split"][name], cohort["split_classes"][name])
        for name in ("train", "validation", "test")
    ]
    excluded = [(row["reason"], row["cases"], row["patients"]) for row in cohort["excluded"]]
    return flow_figure(whole, parts, excluded, case_noun(run.lock), cohort["divided_patients"])
