"""Results in Python: results.json as a dictionary with tables, completion and a view for notebooks."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from importlib import import_module
from pathlib import Path
from shlex import quote
from typing import Any

from equipoise.atomic_write import write_text
from equipoise.errors import EquipoiseError
from equipoise.lookup import nearest
from equipoise.progress import remark
from equipoise.report.text.display_names import names_in
from equipoise.report.text.verdicts import answers
from equipoise.report.text.words import decisive, interval, label_of, number, verdict_in_words
from equipoise.runfolder.paths import REPORT
from equipoise.runfolder.read import read_results
from equipoise.runfolder.seal import unsealed
from equipoise.sinks import cells

Row = dict[str, Any]


class Results(dict[str, Any]):
    """The dictionary of results.json, unchanged, with what one does with it in Python.

    `results.rows("endpoints")` gives plain rows, `results.frame("endpoints")` a pandas table, `results.save_csv(…)`
    files; `results.tables` names the tables. Every key is an attribute too. folder: of the run or audit; None where
    nothing was written.
    """

    def __init__(self, values: Mapping[str, Any], folder: str | Path | None = None) -> None:
        super().__init__(values)
        self.folder = None if folder is None else Path(folder)

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(_TABLES)

    @property
    def answers(self) -> list[str]:
        """The first sentences of the report: which arm is best, whether it beats a rule, which to use."""
        return [one.whole for one in answers(self, names_in(self))]

    @property
    def comparisons(self) -> list[Row]:
        """Every pair of arms: difference, the interval that decided, p, margin, verdict and its sentence."""
        return self.rows("comparisons")

    @property
    def report(self) -> Path | None:
        """The report's page; None where none was written."""
        page = None if self.folder is None else self.folder / REPORT
        return page if page is not None and page.is_file() else None

    def rows(self, table: str) -> list[Row]:
        """Return a table as dictionaries, all with the same keys. Raises EquipoiseError for an unknown table."""
        if table not in _TABLES:
            raise EquipoiseError(f"results have no table {table!r}; {nearest(table, _TABLES)}")
        return list(_TABLES[table](self))

    def frame(self, table: str) -> Any:
        """Return a table as a pandas.DataFrame. Raises EquipoiseError where pandas is not installed."""
        rows = self.rows(table)
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise EquipoiseError(
                f"frame({table!r}) needs pandas ({error}); install pandas, or use rows({table!r})"
            ) from error
        return pandas.DataFrame(rows, columns=list(rows[0]) if rows else None)

    def save_csv(self, path: str | Path, table: str | None = None) -> list[Path]:
        """Write one table to a file, or all tables with rows into a folder; return the files.

        No spreadsheet computes what a name says. Raises EquipoiseError where a file cannot be written.
        """
        place = Path(path)
        files = {place: table} if table is not None else {place / f"{name}.csv": name for name in _TABLES}
        written = []
        for file, name in files.items():
            rows = self.rows(name)
            if rows or table is not None:
                _write(file, rows)
                written.append(file)
        return written

    def __getattr__(self, name: str) -> Any:
        """A key of the dictionary as an attribute."""
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(f"results have no {name!r}; {nearest(name, self)}") from error

    def __dir__(self) -> list[str]:
        """Attributes and keys, for completion."""
        return sorted({*super().__dir__(), *self})

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        where = "" if self.folder is None else f", {self.folder}"
        return f"<equipoise results{where}>\n" + "\n".join(self.answers)

    def _repr_html_(self) -> str:
        """The verdict and two tables, for a notebook."""
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.answers)
        page = "" if self.report is None else f"<p>Report: <code>{escape(str(self.report))}</code></p>"
        label = label_of(self, self["endpoints"]["primary"])
        values = [
            (row["called"], number(row["estimate"]), interval(row["low"], row["high"]))
            for row in self.rows("endpoints")
            if row["endpoint"] == self["endpoints"]["primary"]
        ]
        pairs = [
            (f"{row['first']} − {row['second']}", number(row["difference"], signed=True),
             interval(row["low"], row["high"]), row["words"])
            for row in self.comparisons
        ]  # fmt: skip
        return (
            f"<div>{sentences}{_table(('arm', label, '95 % interval'), values)}"
            f"{_table(('difference', label, 'interval of the verdict', 'verdict'), pairs)}{page}</div>"
        )


def load_results(folder: str | Path) -> Results:
    """Return the results of a run folder or of an audit's folder, as its report left them.

    A remark says where another user, or an editor, wrote them last. Raises EquipoiseError where the folder has none.
    """
    values = read_results(Path(folder))
    if values is None:
        raise EquipoiseError(f"{folder} has no results yet; make them with `equipoise report {quote(str(folder))}`")
    for note in unsealed(Path(folder)):
        remark(note)
    return Results(values, folder)


def _entries(results: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for kind in ("arms", "untuned", "baselines"):
        yield from ((kind, entry) for entry in results.get(kind) or ())


def _endpoints(results: Results) -> Iterator[Row]:
    names = names_in(results)
    for kind, entry in _entries(results):
        for endpoint, value in entry["endpoints"].items():
            kept = {key: (value or {}).get(key) for key in _VALUES}
            yield {
                "arm": entry["name"],
                "called": names[entry["name"]],
                "kind": kind.rstrip("s"),
                "endpoint": endpoint,
            } | kept


_VALUES = ("estimate", "low", "high", "seed_sd", "n_patients", "n_cases", "method", "reason")


def _pairs(key: str) -> Callable[[Results], Iterator[Row]]:
    def rows(results: Results) -> Iterator[Row]:
        """Yield the comparisons under one key."""
        names = names_in(results)
        for pair in results.get(key) or ():
            low, high = decisive(pair)
            yield {
                "first": names.get(pair["a"], pair["a"]), "second": names.get(pair["b"], pair["b"]),
                "endpoint": pair["endpoint"], "difference": pair["difference"], "low": low, "high": high,
                "level": pair.get("decisive_level"), "p": pair["p"], "p_adjusted": pair["p_adjusted"],
                "margin": pair["margin"], "verdict": pair["verdict"], "words": verdict_in_words(pair),
                "sentence": pair["reason"],
            }  # fmt: skip

    return rows


def _cost(results: Results) -> Iterator[Row]:
    for entry in results.get("arms") or ():
        cost = {key: value for key, value in (entry.get("cost") or {}).items() if key != "pareto"}
        yield {"arm": entry["name"], "model": entry.get("model"), "parameters": entry.get("parameters")} | cost


def _listed(key: str) -> Callable[[Results], Iterator[Row]]:
    return lambda results: (dict(row) for row in results.get(key) or ())


_TABLES: dict[str, Callable[[Results], Iterator[Row]]] = {
    "endpoints": _endpoints,
    "comparisons": _pairs("comparisons"),
    "baseline_comparisons": _pairs("baseline_comparisons"),
    "secondary_comparisons": _pairs("secondary_comparisons"),
    "cost": _cost,
    "ranking": _listed("ranking"),
    "failures": _listed("failures"),
}


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _write(file: Path, rows: Sequence[Row]) -> None:
    try:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(cells(rows[0]) if rows else [])
        writer.writerows(cells(row.values()) for row in rows)
        write_text(file, text.getvalue())
    except OSError as error:
        raise EquipoiseError(f"{file} cannot be written ({error}); name another place") from error
