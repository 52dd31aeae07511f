"""The columns of metrics that an audit judges, and those that it does not: none is left out without a word."""

from collections.abc import Collection, Sequence
from shlex import quote

from equipoise.errors import PredictionError
from equipoise.evaluation.external import masks, monai, nnunet
from equipoise.evaluation.external.collection import Collected
from equipoise.evaluation.external.wide_structures import structure_in
from equipoise.evaluation.predictions import Predictions
from equipoise.lookup import nearest
from equipoise.statistics.directions import structures_among
from equipoise.statistics.endpoints import of_case

MEASURED_BY_TOOL = (masks.KIND, nnunet.KIND, monai.METRICS, monai.VALUES)
"""Files whose columns a tool named: it measures more than any audit judges."""
_SHOWN = 8


class Chosen(str):
    """A note on which endpoints are judged, which a command prints as well."""

    __slots__ = ()


def directions_named(given: Sequence[str], columns: Collection[str], option: str) -> tuple[str, ...]:
    """Return the metrics of a statement of directions; one text may name several, with commas between them.

    Raises PredictionError for a name that is no column: a misspelt statement would be dropped without a word. A
    function of the caller's own (`module:name`) needs no column.
    """
    names: list[str] = []
    for text in given:
        parts = [one.strip() for one in text.split(",") if one.strip()]
        whole = text in columns or ":" in text or not parts
        names += [text] if whole else parts
    lacking = [name for name in names if name not in columns and ":" not in name]
    if lacking:
        remedy = nearest(lacking[0], columns) if columns else "these have none; leave it out"
        raise PredictionError(f"{option} {lacking[0]!r} is no column of numbers that every arm has; {remedy}")
    return tuple(dict.fromkeys(names))


def refuse_lacking_mean(name: str, columns: Collection[str]) -> None:
    """Raise PredictionError where a mean over structures is asked for and the table has those of single ones alone."""
    metric_of = {column: pair[0] for column in columns if (pair := structure_in(column)) is not None}
    parts = [column for column, metric in metric_of.items() if metric == name]
    if name in columns or not parts:
        return
    regions = quote(",".join(structures_among(parts)))
    one = quote(f"{name}_{structures_among(parts)[0]}")
    raise PredictionError(
        f"no column holds {name!r} of all structures, and {', '.join(parts)} are of one each; name the structures, for "
        f"their mean (--regions {regions}), or compare one (--regions {regions} --primary {one})"
    )


def not_judged(table: Predictions, collected: Collected, judged: Collection[str]) -> list[Chosen]:
    """Name the columns of numbers that no endpoint is made of, with the option that judges them."""
    if all(source.kind in MEASURED_BY_TOOL for source in collected.sources):
        return []
    columns = list(table.metrics)
    made_of = {of_case(name).column(columns) for name in judged}
    left = [name for name in columns if name not in judged and name not in made_of]
    if not left or table.candidates is not None:
        return []
    more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    one = len(left) == 1
    which = f"column {left[0]} is" if one else f"columns {', '.join(left[:_SHOWN])}{more} are"
    option = f"--secondary {quote(','.join(left[:_SHOWN]))}"
    return [Chosen(f"The {which} not judged ({option} judges {'it' if one else 'them'})")]
