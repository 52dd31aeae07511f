"""Write results.json, figures, model cards and pages of a run folder or a study's folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_json, write_text
from equipoise.plain_files import inside, refuse_linked_folder
from equipoise.report.figures.figure import write_figures
from equipoise.report.handle import Results
from equipoise.report.pages.assemble import all_figures
from equipoise.report.pages.cases import write_cases
from equipoise.report.pages.own_figures import own_figures
from equipoise.report.pages.page import best_arm, example_galleries, render
from equipoise.report.study.page import render_study, study_figures
from equipoise.report.study.study import study_results
from equipoise.report.study.tables import study_tables
from equipoise.report.summary import results_of
from equipoise.report.text.export_command import export_command, model_cards, notes_on_export
from equipoise.runfolder.paths import (
    CASES,
    FIGURES,
    MODEL_CARDS,
    REPORT,
    RESULTS,
    STUDY_PAGE,
    STUDY_PLAN,
    STUDY_RESULTS,
    STUDY_TABLES,
    TABLES,
    model_card,
    trial_folder,
)
from equipoise.runfolder.read import RunFolder, is_predicted, read_folder, read_study_plan
from equipoise.runfolder.seal import seal


def example_cases(folder: Path, trust_code: bool = False) -> tuple[str | None, list[str]]:
    """Return the arm whose example cases the report shows, and these cases."""
    run = read_folder(folder, trust_code)
    results = results_of(run)
    shown = [example.case for gallery in example_galleries(run, results) for example in gallery.examples]
    return best_arm(results), list(dict.fromkeys(shown))


def export_step(run: RunFolder, results: dict[str, Any], advice: dict[str, Any], folder: str) -> str | None:
    """Return the command that exports the arm of an advice; None where it names no arm that can be exported.

    folder: of the run, as the user names it.
    """
    if advice["arm"] is None or advice["beats_baseline"] is False:
        return None
    return export_command(run, results, str(advice["arm"]), folder)


def export_notes(run: RunFolder, results: dict[str, Any], advice: dict[str, Any]) -> list[str]:
    """Return what to do before the command of `export_step` is used; nothing without one."""
    command = export_step(run, results, advice, str(run.path))
    return [] if command is None else notes_on_export(run, results, str(advice["arm"]), command)


def write_report(
    folder: Path, figures: Sequence[str] = (), code: Path | None = None, *, trust_code: bool = False
) -> dict[str, Any]:
    """Write results.json, report.html, figures/ (SVG and CSV) and model cards into a run folder; return the results.

    figures: the user's own functions, `module:function`, each `(run, results) -> Figure`. code: the folder of their
    modules. trust_code: whether code that the run folder itself names may be run. Missing or unreadable jobs are rows
    of `failures`; only a folder without a readable lock.json is refused (LedgerError).
    """
    run = read_folder(folder, trust_code)
    results = results_of(run)
    write_pages(folder, run, results, figures, code)
    return results


def write_pages(
    folder: Path, run: RunFolder, results: dict[str, Any], own: Sequence[str] = (), code: Path | None = None
) -> None:
    """Write results.json, figures/ and report.html of a run in memory; an audit also gets cases.csv.

    own, code: the user's own figures and the folder of their modules, as in `write_report`.
    """
    # Figures come before the first file: where one fails, the folder keeps the consistent files of the previous report.
    figures = all_figures(run, results)
    further = own_figures(own, run, results, figures, code)
    with inside(folder):
        for name in (FIGURES, MODEL_CARDS, TABLES):  # before the first file, which would not fit the figures there
            refuse_linked_folder(folder / name)
        write_json(folder / RESULTS, results, public=True)
        write_figures([*figures, *further], folder / FIGURES)
        if run.sources:
            write_cases(run, folder / CASES)
        for arm, card in model_cards(run, results).items():
            write_text(model_card(folder, arm), card)
        Results(results).save_csv(folder / TABLES)
        write_text(folder / REPORT, render(run, results, figures, further))
        seal(folder)


def is_study_folder(folder: Path) -> bool:
    """Return whether the folder holds a study of many trials."""
    return (folder / STUDY_PLAN).is_file()


def report_study(folder: Path, trust_code: bool = False) -> dict[str, Any]:
    """Write the reports of all trials of a study again, then the study's own; return study.json."""
    plan = read_study_plan(folder)
    for cohort in plan["cohorts"]:
        for model in plan["models"]:
            trial = trial_folder(folder, cohort, model)
            if is_predicted(trial):
                with inside(folder):  # the trial's folder itself could be a link to another one
                    write_report(trial, trust_code=trust_code)
    return write_study(folder)


def write_study(folder: Path) -> dict[str, Any]:
    """Write study.json, study.html, tables.md and figures/ into a study's folder, from the results of its trials."""
    results = study_results(folder)
    tables = study_tables(results)
    figures = study_figures(results) if results["ranks"] else []
    with inside(folder):
        refuse_linked_folder(folder / FIGURES)
        write_json(folder / STUDY_RESULTS, results, public=True)
        write_figures(figures, folder / FIGURES)
        write_text(folder / STUDY_TABLES, "\n".join(table.markdown() for table in tables))
        write_text(folder / STUDY_PAGE, render_study(results, tables, figures))
    return results
