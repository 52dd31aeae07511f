"""A run folder → its numbers (results.json), its figures, and the page one sends to a colleague (report.html)."""

from pathlib import Path
from typing import Any

from equipoise.report.assemble import all_figures
from equipoise.report.contrast import CONTRAST
from equipoise.report.figures.figure import write_figures
from equipoise.report.folder import read_folder
from equipoise.report.maps import ATTRIBUTIONS
from equipoise.report.page import best_arm, example_galleries, render, write_page
from equipoise.report.recommendation import advise
from equipoise.report.results import results_of, summarise, write_json, write_results

__all__ = ["ATTRIBUTIONS", "CONTRAST", "advise", "example_cases", "summarise", "write_report", "write_results"]


def example_cases(folder: Path) -> tuple[str | None, list[str]]:
    """The arm whose example cases the report shows, and these cases."""
    run = read_folder(folder)
    results = results_of(run)
    shown = [example.case for gallery in example_galleries(run, results) for example in gallery.examples]
    return best_arm(results), list(dict.fromkeys(shown))


def write_report(folder: Path) -> dict[str, Any]:
    """Write results.json, report.html and figures/ (SVG and CSV) into a run folder; return the results.

    Missing or unreadable jobs are rows of `failures`; only a folder without a readable lock.json is refused
    (LedgerError).
    """
    run = read_folder(folder)
    results = results_of(run)
    figures = all_figures(run, results)
    write_json(folder / "results.json", results)
    write_figures(figures, folder / "figures")
    write_page(folder / "report.html", render(run, results, figures))
    return results
