"""Report on a run folder: its numbers (results.json), figures, model cards, and a self-contained page (report.html).

The same for a study's folder, from the results of its trials. Names are imported when first used: a command that needs
one sentence of `report.text` does not load every figure.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.report.summary import advise, results_of, summarise, write_results
    from equipoise.report.writing import (
        example_cases,
        export_notes,
        export_step,
        is_study_folder,
        report_study,
        write_pages,
        write_report,
        write_study,
    )
    from equipoise.runfolder.read import read_folder

__all__ = [
    "advise",
    "example_cases",
    "export_notes",
    "export_step",
    "is_study_folder",
    "read_folder",
    "report_study",
    "results_of",
    "summarise",
    "write_pages",
    "write_report",
    "write_results",
    "write_study",
]

_SUMMARY = ("advise", "results_of", "summarise", "write_results")


def __getattr__(name: str) -> Any:
    """A public name, imported now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = "runfolder.read" if name == "read_folder" else "report.summary" if name in _SUMMARY else "report.writing"
    return getattr(import_module(f"equipoise.{place}"), name)
