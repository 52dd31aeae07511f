"""The tables of a study as rows of text, for its page and for Markdown documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.report.text.words import endpoint_name, interval, number, p_value, percentage
from equipoise.sinks import escaped

Study = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A title, headings and rows of equal length, and a note on reading them; the first column names the row."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str

    def markdown(self) -> str:
        """Return the table in Markdown."""
        rows = [[escaped(text) for text in row] for row in (self.heads, *self.rows)]
        lines = ["| " + " | ".join(cells) + " |" for cells in (rows[0], ("---",) * len(self.heads), *rows[1:])]
        return f"### {escaped(self.title)}\n" + "\n".join(lines) + f"\n\n{escaped(self.note)}\n"


def study_tables(results: Study) -> list[Table]:
    """Return every table for which the study has numbers."""
    if not results["values"]:
        return [_trials(results)]
    kinds = list(results["ranks"])
    return [
        *(_ranks(results, kind) for kind in kinds),
        *(_pairs(results, kind) for kind in kinds),
        *(_quality(results, kind) for kind in kinds),
        *(_speed(results, kind) for kind in kinds),
        _failures(results),
        _trials(results),
    ]


def kind_words(results: Study, kind: str) -> str:
    """Return the display name of a kind of arms; a study without tuning has one kind, with the stated settings."""
    return kind if "untuned" in results["ranks"] else "settings as stated"


def _ranks(results: Study, kind: str) -> Table:
    rankings = results["ranks"][kind]
    primary = results["endpoints"][0]
    order = sorted(rankings[primary]["arms"], key=lambda row: row["rank"])
    by_name = {name: {row["optimizer"]: row for row in table["arms"]} for name, table in rankings.items()}
    rows = [
        (
            row["optimizer"],
            *(_rank_cell(by_name[name][row["optimizer"]]) for name in rankings),
            "–" if row["behind"] == 0 else interval(row["behind_low"], row["behind_high"], 1),
            f"{percentage(row['first'])} %",
        )
        for row in order
    ]
    rows.append(("Friedman's p", *(p_value(table["friedman_p"]) for table in rankings.values()), "", ""))
    label = endpoint_name(primary)
    return Table(
        f"Average rank, {kind_words(results, kind)}",
        ("optimizer", *(endpoint_name(name) for name in rankings), f"behind the best, {label}", "best in"),
        tuple(rows),
        "Mean rank over workloads (1 is best) with 95 % intervals from resampling data sets, networks within them and "
        "training runs; not adjusted for the number of optimizers. Behind the best: interval of the distance in rank; "
        "best in: share of resamples.",
    )


def _pairs(results: Study, kind: str) -> Table:
    primary = results["endpoints"][0]
    ranking = results["ranks"][kind][primary]
    # In order of rank, so that clear differences gather in the corners of the table.
    order = [row["optimizer"] for row in sorted(ranking["arms"], key=lambda row: row["rank"])]
    cells = {}
    for pair in ranking["pairs"]:
        low, high = pair["low"], pair["high"]
        cells[pair["a"], pair["b"]] = _pair_cell(pair["difference"], low, high)
        cells[pair["b"], pair["a"]] = _pair_cell(-pair["difference"], -high, -low)
    rows = [(name, *("" if name == other else cells[name, other] for other in order)) for name in order]
    return Table(
        f"Differences in average rank, {endpoint_name(primary)}, {kind_words(results, kind)}",
        ("optimizer", *order),
        tuple(rows),
        "Rank of the row minus rank of the column: below zero, the row is better. * marks a difference whose 95 % "
        "interval (study.json contains all) excludes zero; not adjusted for the number of pairs.",
    )


def _pair_cell(difference: float, low: float, high: float) -> str:
    return number(difference, 1, signed=True) + ("*" if low > 0 or high < 0 else "")


def _rank_cell(row: Mapping[str, Any]) -> str:
    return f"{row['rank']:.1f} ({row['low']:.1f}–{row['high']:.1f})"


def _quality(results: Study, kind: str) -> Table:
    primary = results["endpoints"][0]
    values = {(v["cohort"], v["model"], v["optimizer"]): v for v in results["values"] if v["kind"] == kind}
    workloads = list(dict.fromkeys((cohort, model) for cohort, model, _ in values))
    rows = [
        (
            optimizer,
            *(_quality_cell(values[*workload, optimizer], primary) for workload in workloads),
        )
        for optimizer in results["optimizers"]
    ]
    return Table(
        f"{endpoint_name(primary)} on test patients, {kind_words(results, kind)}",
        ("optimizer", *(f"{cohort}, {model}" for cohort, model in workloads)),
        tuple(rows),
        "Mean over training runs ± their standard deviation. A run that failed counts as the worst value of its "
        "workload; † marks means that include such a run.",
    )


def _quality_cell(value: Mapping[str, Any], primary: str) -> str:
    summary = value["endpoints"][primary]
    mark = "†" if value["failed"] else ""
    return f"{number(summary['mean'])} ± {number(summary['sd'])}{mark}"


def _speed(results: Study, kind: str) -> Table:
    rows = []
    for row in results["profiles"][kind]:
        seconds = [
            v["train_seconds"] for v in results["values"] if (v["kind"], v["optimizer"]) == (kind, row["optimizer"])
        ]
        known = [value for value in seconds if value is not None]
        shares = (f"{100 * point['share']:.0f} %" for point in row["profile"])
        mean = sum(known) / len(known) if known else None
        rows.append((row["optimizer"], f"{100 * row['reached']:.0f} %", *shares, f"{number(mean, 1)} s"))
    ratios = (f"within {point['ratio']:g} ×" for point in results["profiles"][kind][0]["profile"])
    return Table(
        f"Time to the target, {kind_words(results, kind)}",
        ("optimizer", "reached", *ratios, "one training"),
        tuple(rows),
        "Share of workloads whose target was reached, and reached within a multiple of the epochs of the fastest "
        "optimizer. The target of a workload is the median, over all tuned runs, of their best validation loss; an "
        "optimizer's time is the median over its runs; a run that failed never reaches it. One training: "
        "mean seconds.",
    )


def _failures(results: Study) -> Table:
    rows = [
        (
            row["optimizer"],
            f"{row['draws_failed']} of {row['draws']}",
            f"{row['tuned_failed']} of {row['tuned_runs']}",
            f"{row['untuned_failed']} of {row['untuned_runs']}",
        )
        for row in results["failures"]
    ]
    return Table(
        "Failed trainings",
        ("optimizer", "draws of tuning", "tuned runs", "untuned runs"),
        tuple(rows),
        "Trainings that ended without a network: the loss diverged, or an error of the arm ended them; each trial's "
        "report has the reason.",
    )


def _trials(results: Study) -> Table:
    rows = [(f"{row['cohort']}, {row['model']}", *_trial_cells(row)) for row in results["trials"]]
    return Table(
        "Workloads",
        ("data set, network", "training cases", "test cases", "test patients", "parameters", "target loss"),
        tuple(rows),
        "Each row is a separate trial with its own report.",
    )


def _trial_cells(row: Mapping[str, Any]) -> Sequence[str]:
    if row["status"] != "finished":
        return (str(row["reason"]), "", "", "", "")
    parameters = "–" if row["parameters"] is None else f"{row['parameters']:,}"
    return (f"{row['train']:,}", f"{row['test']:,}", f"{row['test_patients']:,}", parameters, number(row["target"]))
