"""Which values of a table's column are better: whole known names say it, everything else is asked.

A direction that is guessed wrongly makes the worst arm win, so a name that merely begins like a metric's ("dice_loss",
"lesion_miss_rate") says nothing.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from shlex import quote

from equipoise.errors import PredictionError
from equipoise.evaluation.external.summary_rows import heads_summary
from equipoise.evaluation.external.wide_structures import regions_to_type, structure_in
from equipoise.statistics.endpoints import of_case


@dataclass(frozen=True)
class Directions:
    """The directions that the caller stated, and the structures whose names may follow a metric's (None: any)."""

    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    structures: Collection[str] | None = None

    def check(self, names: Iterable[str], columns: Collection[str]) -> None:
        """Raise PredictionError where a direction is not known, stated twice, or stated against a known name.

        names: the endpoints to judge; columns: the metrics of the table, which a stated name must be one of.
        """
        both = sorted({*self.higher} & {*self.lower})
        if both:
            raise PredictionError(f"{both[0]!r} was stated as better when higher and when lower; keep one of them")
        for name in (*self.higher, *self.lower):
            self._refuse_contradiction(name, columns)
        for name in names:
            if (
                name not in self.higher
                and name not in self.lower
                and not of_case(name, self.structures).direction_known
            ):
                raise PredictionError(
                    f"whether a larger {name!r} is better is not known; {self._remedy(name, columns)}"
                )

    def _refuse_contradiction(self, name: str, columns: Collection[str]) -> None:
        record = of_case(name, self.structures)
        if name not in columns or not record.direction_known or record.higher_is_better == (name in self.higher):
            return
        better = "larger" if record.higher_is_better else "smaller"
        raise PredictionError(
            f"a {better} {name!r} is better by its definition, and the opposite was stated; leave the statement out, "
            "or rename the column if it is another quantity"
        )

    def _is_bare(self, name: str) -> bool:
        """Return whether a heading has no known metric in it nor a stated direction, and may be a structure alone."""
        if name in (*self.higher, *self.lower):
            return False
        return not of_case(name, self.structures).direction_known and not structures_among([name])

    def _remedy(self, name: str, columns: Iterable[str]) -> str:
        remedy = f"say so (--higher-is-better {quote(name)} or --lower-is-better {quote(name)})"
        if not structures_among([name]):
            typed = regions_to_type([one for one in columns if self._is_bare(one)])
            return f"{remedy}, or, if columns are structures, name them and the metric ({typed})" if typed else remedy
        # All of them: the mean over one structure would be called that of all.
        regions = structures_among([name, *(one for one in columns if one not in (*self.higher, *self.lower))])
        are = (
            f"{regions[0]!r} is a structure, name it"
            if len(regions) == 1
            else (f"{', '.join(map(repr, regions))} are structures, name them")
        )
        return f"{remedy}, or, if {are} (--regions {quote(','.join(regions))})"


def structures_among(columns: Iterable[str]) -> list[str]:
    """Return the words beside a known metric in the names of columns, in their order: structures, perhaps.

    >>> structures_among(["dice_Leber", "dice_Tumor", "hd95_Leber", "Liver dice", "age", "dice"])
    ['Leber', 'Tumor', 'Liver']
    """
    names = []
    for column in columns:
        record, pair = of_case(column), structure_in(column)
        if record.direction_known and record.region:
            names.append(record.region.removeprefix("_"))
        elif pair is not None:
            names.append(pair[1])
    return [name for name in dict.fromkeys(names) if not heads_summary(name)]
