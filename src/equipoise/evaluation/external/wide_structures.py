"""Tables with a column per structure (`DSC Leber, DSC Tumor`, `Liver dice`), whose names the caller states (--regions).

Headings may be the structures alone (`Leber, Tumor`): the caller then states the metric, too (--metric dice).
Such a table gets the mean over its structures that a table with a row per structure gets, so that the same data in both
forms are compared by the same quantity.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from shlex import quote

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.external.headings import bare_heading
from equipoise.evaluation.external.long_structures import mean_over
from equipoise.evaluation.external.reading import Caution, Columns
from equipoise.evaluation.external.roles import ROLES, known_metric, metric_called
from equipoise.evaluation.external.summary_rows import heads_summary
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


def by_region(
    columns: Columns, regions: Collection[str], source: str, metric: str | None = None
) -> tuple[Columns, list[str]]:
    """Return the columns, those of a metric of a stated structure named `<metric>_<structure>`, and notes.

    metric: that of columns whose heading is a structure alone; PredictionError for such columns without it.
    """
    known = {region.casefold(): region for region in regions}
    unnamed = []
    notes = []
    for name in [name for name in columns if name not in ROLES]:
        pair = structure_in(name)
        region = None if pair is None else known.get(pair[1].casefold())
        if pair is None or region is None:
            pair, region = (metric or "", name), _alone(name, known, columns)
        if region is None or (ours := f"{pair[0]}_{region}") in columns:
            continue
        if not pair[0]:
            unnamed += [] if any(one.endswith(f"_{region}") for one in columns) else [name]
            continue
        columns = {ours if key == name else key: values for key, values in columns.items()}
        notes.append(f"The column {name!r} of {source} was read as {ours}.")
    if unnamed:
        raise PredictionError(
            f"{source} has columns of structures ({', '.join(unnamed)}) that do not say of which metric; state it, "
            "such as --metric dice"
        )
    return columns, notes


def heading_of(name: str, regions: Iterable[str]) -> str | None:
    """Return the structure that a heading is, without capitals and unit, None for any other.

    >>> heading_of("leber [%]", ["Leber", "Niere links"]), heading_of("Leberwert", ["Leber"])
    ('Leber', None)
    """
    known = {region.casefold(): region for region in regions}
    bare = {bare_heading(region): region for region in regions}
    return known.get(name.strip().casefold()) or (bare.get(bare_heading(name)) if bare_heading(name) else None)


def _alone(name: str, known: dict[str, str], columns: Columns) -> str | None:
    """Return the structure that is the whole heading of a column of numbers."""
    region = heading_of(name, known.values())
    return None if region is None or as_numbers(columns[name]) is None else region


def regions_to_type(names: Iterable[str]) -> str:
    """Return what to type where headings are structures alone, "" for fewer than two, or names no option can hold.

    >>> regions_to_type(["Leber", "Niere links", "Mittelwert"])
    "--metric dice --regions 'Leber,Niere links'"
    >>> regions_to_type(["Leber"]), regions_to_type(["a=b", "c"])
    ('', '')
    """
    own = [name for name in names if not heads_summary(name)]
    fits = len(own) > 1 and not any({",", "="} & set(name) for name in own)
    return f"--metric dice --regions {quote(','.join(own))}" if fits else ""


def means_over(
    columns: Columns, regions: Sequence[str], source: str, metric: str | None = None
) -> tuple[Columns, list[str]]:
    """Add the mean of every known metric that a table holds for each of several stated structures; notes say so.

    metric: one that the caller names, which is known therefore.

    A case that lacks a structure has no number there, and its mean is over the others; a caution counts them.
    """
    notes: list[str] = []
    if len(regions) < 2:
        return columns, notes
    metrics = {name.removesuffix(f"_{regions[0]}") for name in columns if name.endswith(f"_{regions[0]}")}
    for own in sorted(one for one in metrics if (known_metric(one) or one == metric) and one not in columns):
        cells = [as_numbers(columns[name]) for name in (f"{own}_{one}" for one in regions) if name in columns]
        values = [one for one in cells if one is not None]
        if len(values) < len(regions):
            continue
        table = np.stack(values, axis=1)
        columns = {**columns, own: mean_over(table)}
        notes.append(f"The {own} of {source} is the mean over the structures {', '.join(regions)} of each case.")
        lost = int(np.isnan(table).sum())
        if lost:
            lacking = f"{lost} of {table.size} structures of cases have no {own} in {source} and are not included "
            notes.append(Caution(f"{lacking}in its mean."))
    return columns, notes
