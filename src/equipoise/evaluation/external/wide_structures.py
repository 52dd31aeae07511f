"""Tables with a column per structure (`DSC Leber, DSC Tumor`, `Liver dice`), whose names the caller states (--regions).

Such a table gets the mean over its structures that a table with a row per structure gets, so that the same data in both
forms are compared by the same quantity.
"""

import re
from collections.abc import Collection, Sequence

import numpy as np

from equipoise.evaluation.external.long_structures import mean_over
from equipoise.evaluation.external.reading import Caution, Columns
from equipoise.evaluation.external.roles import ROLES, known_metric, metric_called
from equipoise.evaluation.external.table_file import as_numbers

_BETWEEN = r"[\s_\-–:/.]+"


def structure_in(name: str) -> tuple[str, str] | None:
    """Return the known metric and the other words of a heading that holds both, None for any other.

    >>> structure_in("Liver dice"), structure_in("DSC Leber"), structure_in("dice"), structure_in("Dice loss of Liver")
    (('dice', 'Liver'), ('dice', 'Leber'), None, ('dice', 'loss of Liver'))
    """
    for pattern, metric, rest in ((rf"(.+?){_BETWEEN}([^\s_:/]+)", 2, 1), (rf"([^\s_:/]+?){_BETWEEN}(.+)", 1, 2)):
        match = re.fullmatch(pattern, name.strip())
        if match is not None and (ours := metric_called(match[metric])) is not None:
            return ours, match[rest].strip()
    return None


def by_region(columns: Columns, regions: Collection[str], source: str) -> tuple[Columns, list[str]]:
    """Return the columns, those of a metric of a stated structure named `<metric>_<structure>`, and notes."""
    known = {region.casefold(): region for region in regions}
    notes = []
    for name in [name for name in columns if name not in ROLES]:
        pair = structure_in(name)
        region = None if pair is None else known.get(pair[1].casefold())
        if pair is None or region is None or (ours := f"{pair[0]}_{region}") in columns:
            continue
        columns = {ours if key == name else key: values for key, values in columns.items()}
        notes.append(f"The column {name!r} of {source} was read as {ours}.")
    return columns, notes


def means_over(columns: Columns, regions: Sequence[str], source: str) -> tuple[Columns, list[str]]:
    """Add the mean of every known metric that a table holds for each of several stated structures; notes say so.

    A case that lacks a structure has no number there, and its mean is over the others; a caution counts them.
    """
    notes: list[str] = []
    if len(regions) < 2:
        return columns, notes
    metrics = {name.removesuffix(f"_{regions[0]}") for name in columns if name.endswith(f"_{regions[0]}")}
    for metric in sorted(one for one in metrics if known_metric(one) and one not in columns):
        cells = [as_numbers(columns[name]) for name in (f"{metric}_{one}" for one in regions) if name in columns]
        values = [one for one in cells if one is not None]
        if len(values) < len(regions):
            continue
        table = np.stack(values, axis=1)
        columns = {**columns, metric: mean_over(table)}
        notes.append(f"The {metric} of {source} is the mean over the structures {', '.join(regions)} of each case.")
        lost = int(np.isnan(table).sum())
        if lost:
            lacking = f"{lost} of {table.size} structures of cases have no {metric} in {source} and are not included "
            notes.append(Caution(f"{lacking}in its mean."))
    return columns, notes
