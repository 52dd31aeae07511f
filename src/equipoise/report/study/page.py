"""study.html: the joint result of all trials of a study on one self-contained page, which begins with sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from equipoise.report.figures.draws import draw_rank_figure
from equipoise.report.figures.figure import Figure
from equipoise.report.figures.interval_rows import Row, Scale, draw_rows
from equipoise.report.figures.profiles import profile_figure
from equipoise.report.figures.svg import style_sheet
from equipoise.report.pages.explained import template_text
from equipoise.report.pages.page import figure_drawings, unbroken
from equipoise.report.study.tables import Table, kind_words
from equipoise.report.text.verdicts import Answer
from equipoise.report.text.words import endpoint_name, interval, listed, p_value, plural
from equipoise.statistics.workloads import FEWEST

SIGNIFICANT = 0.05


def render_study(results: Mapping[str, Any], tables: Sequence[Table], figures: Sequence[Figure]) -> str:
    """Render the page as HTML; all text from the study is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(template_text), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=unbroken,
    )  # fmt: skip
    finished = [row for row in results["trials"] if row["status"] == "finished"]
    return environment.get_template("study.html.j2").render(
        css=Markup(style_sheet() + template_text("page.css")),  # noqa: S704 - our own files
        results=results,
        finished=finished,
        answers=study_answers(results),
        tables=tables,
        figures=figures,
        drawing=figure_drawings,
        counted=plural,
    )


def study_answers(results: Mapping[str, Any]) -> list[Answer]:
    """Return the first sentences: the best optimizer, tuned and untuned, and the number of failed trainings."""
    if not results["ranks"]:
        text = "No trial is finished yet; the same command goes on with the study."
        return [Answer("Which optimizer is best?", text)]
    answers = [_best(results, kind) for kind in results["ranks"]]
    return [*answers, _failed(results)]


def _failed(results: Mapping[str, Any]) -> Answer:
    """Say how many trainings failed, and what became of them: a failed draw enters no rank of test values."""
    rows = results["failures"]
    draws = sum(row["draws_failed"] for row in rows)
    runs = sum(row["tuned_failed"] + row["untuned_failed"] for row in rows)
    total = sum(row["draws"] + row["tuned_runs"] + row["untuned_runs"] for row in rows)
    counts = {row["optimizer"]: row["draws_failed"] + row["tuned_failed"] + row["untuned_failed"] for row in rows}
    named = [f"{name} {count}" for name, count in counts.items() if count]
    text = f"{draws + runs} of {plural(total, 'training')} failed" + (f": {listed(named)}." if named else ".")
    verb = {False: "count", True: "counts"}
    of_runs = f"{plural(runs, 'failed run')} {verb[runs == 1]} as the worst value of the workload in every rank."
    of_draws = (
        f"{plural(draws, 'failed draw')} of tuning {verb[draws == 1]} as the worst draw in the ranking after fewer "
        "draws, and in no other rank."
    )
    details = [of_runs] * (runs > 0) + [of_draws] * (draws > 0)
    return Answer("How often did training fail?", text, " ".join(details))


def _best(results: Mapping[str, Any], kind: str) -> Answer:
    words = kind_words(results, kind)
    primary = results["endpoints"][0]
    ranking = results["ranks"][kind][primary]
    rows = sorted(ranking["arms"], key=lambda row: row["rank"])
    label, p = endpoint_name(primary), ranking["friedman_p"]
    workloads = len({(value["cohort"], value["model"]) for value in results["values"]})
    leader = f"{rows[0]['optimizer']}, {rows[0]['rank']:.1f} ({interval(rows[0]['low'], rows[0]['high'], 1)})"
    question = f"Which optimizer is best, {words}?"
    # Friedman's test is the gate: without it the best of many equal optimizers would often seem better than some other.
    if p is None or p >= SIGNIFICANT:
        chance = "the ranks do not differ more than expected by chance"
        why = _untested(workloads, len(rows)) if p is None else chance
        test = "" if p is None else f"Friedman's p {p_value(p)}. "
        text = f"None can be called best over {plural(workloads, 'workload')}: {why}."
        return Answer(question, text, f"{test}Best average rank in {label}: {leader}.")
    behind = [row["optimizer"] for row in rows[1:] if row["behind_low"] > 0]
    tied = [row["optimizer"] for row in rows[1:] if row["behind_low"] <= 0]
    text = f"{rows[0]['optimizer']} has the best average rank in {label}"
    lie = "lies" if len(behind) == 1 else "lie"
    text += f"; {listed(behind)} {lie} behind it" if behind else "; no other was shown to be worse"
    detail = f"Friedman's p {p_value(p)}; average rank of {leader} over {plural(workloads, 'workload')}."
    detail += f" Not shown to be worse: {listed(tied)}." if tied else ""
    return Answer(question, text + ".", detail)


def _untested(workloads: int, optimizers: int) -> str:
    """Say why the ranks were not tested; see `friedman_p`."""
    few = [plural(n, what) for n, what in ((workloads, "workload"), (optimizers, "optimizer")) if n < FEWEST]
    if few:
        need = f"the test of the ranks needs at least {FEWEST} workloads and {FEWEST} optimizers"
        return f"{need}, and there are {listed(few)}"
    return "all optimizers have the same values"


def study_figures(results: Mapping[str, Any]) -> list[Figure]:
    """Draw average ranks, ranks after fewer draws, and performance profiles."""
    figures = [_rank_figure(results, kind) for kind in results["ranks"]]
    caption = (
        "Mean over workloads of each optimizer's expected rank by its best validation loss, if it had been given k of "
        "its draws. Lines that cross mean that the answer depends on the budget for tuning."
    )
    ranking = draw_rank_figure(results["ranks_by_draws"], "The ranking after fewer draws", caption)
    figures += [ranking] if ranking else []
    return figures + [profile_figure(rows, kind) for kind, rows in results["profiles"].items()]


def _rank_figure(results: Mapping[str, Any], kind: str) -> Figure:
    primary = results["endpoints"][0]
    order = results["optimizers"]
    rows = sorted(results["ranks"][kind][primary]["arms"], key=lambda row: row["rank"])
    drawn = [
        Row(
            row["optimizer"], f"{row['rank']:.1f} ({interval(row['low'], row['high'], 1)})",
            order.index(row["optimizer"]), row["rank"], row["low"], row["high"],
        )
        for row in rows
    ]  # fmt: skip
    scale = Scale(f"average rank in {endpoint_name(primary)}, 1 is best", limits=(0.8, len(order) + 0.2))
    title = f"Average rank over workloads, {kind_words(results, kind)}"
    seen = "; ".join(f"{row.label}: {row.words}" for row in drawn)
    keys = ("optimizer", "rank", "low", "high", "behind", "behind_low", "behind_high", "first")
    return Figure(
        f"ranks-{kind}",
        title,
        "Mean rank over workloads with its 95 % interval from resampling data sets, networks and training runs. Bars "
        "that overlap may still differ: the table says how far each lies behind the best.",
        (draw_rows(drawn, scale, title, seen),),
        keys,
        tuple(tuple(row[key] for key in keys) for row in rows),
        (draw_rows(drawn, scale, title, seen, narrow=True),),
    )
