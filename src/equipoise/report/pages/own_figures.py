"""Figures of the user's own, named `module:function` when a report is written, never by the run folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.lookup import imported
from equipoise.report.figures.figure import Figure
from equipoise.runfolder.paths import component
from equipoise.runfolder.read import RunFolder


def own_figures(
    names: Sequence[str], run: RunFolder, results: dict[str, Any], drawn: Sequence[Figure], folder: Path | None = None
) -> list[Figure]:
    """The figures that the named functions `(run, results) -> Figure` make; one that returns None is left out.

    drawn: the report's own figures, whose names are taken. folder: where the modules lie, searched before what is
    installed. A run folder often comes from somebody else, so its modules are never searched: the caller of the report
    names the code that it trusts.

    Raises EquipoiseError for a function that cannot be imported, fails, or returns anything but a Figure; for a name
    that is taken or cannot be the name of a file.
    """
    taken, figures = {figure.name for figure in drawn}, []
    for name in names:
        figure = _made(name, run, results, folder)
        if figure is None:
            continue
        if figure.name in taken:
            raise EquipoiseError(
                f"the figure {name!r} calls itself {figure.name!r}, as another does; give it another name"
            )
        component(figure.name, "a figure")  # becomes a file name
        taken.add(figure.name)
        figures.append(figure)
    return figures


def _made(name: str, run: RunFolder, results: dict[str, Any], folder: Path | None) -> Figure | None:
    if ":" not in name:
        raise EquipoiseError(f"{name!r} names no figure of your own; write it as module:function")
    function = imported(name, "figure", folder)
    try:
        figure = function(run, results)
    except EquipoiseError:
        raise
    except Exception as error:  # the code is the user's: whatever it raises is said in a sentence
        raise EquipoiseError(
            f"the figure {name!r} failed ({type(error).__name__}: {error}); correct its function"
        ) from error
    if figure is not None and not isinstance(figure, Figure):
        raise EquipoiseError(
            f"the figure {name!r} returned {type(figure).__name__}; it must return a Figure of equipoise.report.figures"
        )
    return figure
