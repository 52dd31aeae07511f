"""The user's own figures, named as `module:function` by the caller of the report, never by the run folder."""

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
    """Return the figures of the named functions `(run, results) -> Figure`; a figure of None is omitted.

    drawn: the built-in figures, whose names are taken. folder: the place of the modules, searched before the installed
    ones. A run folder often comes from another person, so its modules are never searched: the caller of the report
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
            raise EquipoiseError(f"the figure {name!r} is called {figure.name!r}, as another is; give it another name")
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
    except Exception as error:  # the user's code may raise anything, which becomes one sentence
        raise EquipoiseError(
            f"the figure {name!r} failed ({type(error).__name__}: {error}); correct its function"
        ) from error
    if figure is not None and not isinstance(figure, Figure):
        raise EquipoiseError(
            f"the figure {name!r} returned {type(figure).__name__}; it must return a Figure of equipoise.report.figures"
        )
    return figure
