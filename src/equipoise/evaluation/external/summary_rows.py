"""Words that head a sum or mean in a table: the row below the last patient, or the column behind the last structure."""

from collections.abc import Mapping

from equipoise.cohorts.layouts.columns import bare
from equipoise.errors import PredictionError
from equipoise.evaluation.external.reading import Columns, RowNumbers

_WORDS = frozenset({
    "mean", "means", "average", "avg", "median", "total", "sum", "overall", "all", "meansd", "meanstd",
    "standarddeviation", "mittelwert", "mittel", "durchschnitt", "gesamt", "summe", "standardabweichung", "alle",
    "moyenne", "somme", "mediane", "ecarttype", "media", "promedio", "mediana", "totale", "gemiddelde", "medelvarde",
})  # fmt: skip
_SHORT = frozenset({
    "sd", "std", "stdev", "stddev", "se", "sem", "iqr", "min", "max", "n", "count", "anzahl", "var", "ci",
})  # fmt: skip
"""What stands in such rows too, and may be a person's initials."""


def heads_summary(name: str) -> bool:
    """Return whether a name says that a row or column sums up others.

    >>> heads_summary("Mean"), heads_summary("Mittelwert:"), heads_summary("Meier"), heads_summary("SD")
    (True, True, False, False)
    """
    return bare(name) in _WORDS


def summaries(names: list[str]) -> list[int]:
    """Return the positions of the names of rows that sum up others; short words count where no other name is one word.

    >>> summaries(["CT1", "CT2", "Mean", "SD"]), summaries(["CT1", "CT2", "SD"]), summaries(["AB", "SD", "MK"])
    ([2, 3], [2], [])
    """
    certain = [k for k, name in enumerate(names) if heads_summary(name)]
    short = [k for k, name in enumerate(names) if bare(name) in _SHORT]
    numbered = all(any(map(str.isdigit, name)) for k, name in enumerate(names) if k not in (*certain, *short))
    return sorted({*certain, *(short if certain or numbered else [])})


def refuse_summaries(columns: Columns, roles: Mapping[str, str], source: str, rows: RowNumbers | None) -> None:
    """Raise PredictionError for rows whose case or patient is called as a sum or mean is: they would count as patients.

    roles: column → role. rows: the numbers of the rows in their file; by default those of a table with a header.
    """
    for name in (name for name, role in roles.items() if role in ("case", "patient") and name in columns):
        cells = ["" if cell is None else str(cell) for cell in columns[name].tolist()]
        at = summaries(cells)
        if not at:
            continue
        numbers = [k + 2 if rows is None else int(rows.numbers[k]) for k in at]
        which = f"row {numbers[0]}" if len(at) == 1 else f"rows {', '.join(map(str, numbers[:5]))}"
        more = f" and {len(at) - 5} more" if len(at) > 5 else ""
        listed = ", ".join(repr(one) for one in dict.fromkeys(cells[k].strip() for k in at[:5]))
        raise PredictionError(
            f"{source} has {listed} as the {roles[name]} in {which}{more}, as rows have that sum up others, and would "
            "count it as one; remove such rows, or, if it is a name, write it otherwise"
        )
