"""The judgement of a trial for predictions made elsewhere, through the same functions; no ledger stands behind it."""

import csv
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.evaluation.tables import from_table, read_table
from equipoise.report.folder import Job, LedgerState, RunFolder
from equipoise.report.page import write_page
from equipoise.report.results import results_of, write_json
from equipoise.report.tables import sentences
from equipoise.report.verdicts import answers
from equipoise.report.words import endpoint_name, interval, number
from equipoise.statistics.own import describe_own, is_own

_ELSEWHERE = "This is an audit of predictions made elsewhere: no ledger proves when the test set was opened"


def audit(
    predictions: Any,
    primary: str = "auc",
    margin: float | None = None,
    control: str | None = None,
    *,
    out: str | Path | None = None,
    secondary: Sequence[str] = (),
    training: str | Path | None = None,
    cases_are_patients: bool = False,
) -> dict[str, Any]:
    """Judge predictions made elsewhere; return the dictionary of results.json, and with `out` write it and a report.

    `predictions` is a CSV or Parquet file, a list of such files, or a table in memory (pyarrow.Table, dictionary of
    columns, data frame). `control` compares every arm with that one alone. `training` is a CSV whose column `case`
    or `patient` lists what the arms were trained on. Raises PredictionError for what cannot be judged.
    """
    table = _read(predictions, cases_are_patients)
    if training is not None:
        _refuse_trained(table, Path(training))
    notes = ["Every case was taken for another patient, as the caller stated"] if cases_are_patients else []
    run = _as_run(table, primary, secondary, margin, control, notes)
    results = {**results_of(run), "audit": True}
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "results.json", results)
        write_page(folder / "report.html", _page(results))
    return results


def _read(predictions: Any, cases_are_patients: bool) -> Predictions:
    if isinstance(predictions, str | Path):
        predictions = [predictions]
    if not isinstance(predictions, list | tuple):
        return from_table(predictions, cases_are_patients=cases_are_patients)
    if not predictions:
        raise PredictionError("no prediction file was given; name at least one")
    return concatenate([read_table(Path(path), cases_are_patients=cases_are_patients) for path in predictions])


def _refuse_trained(table: Predictions, path: Path) -> None:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PredictionError(f"the training list {path} is not readable ({error}); give a CSV") from error
    if not rows or not {"case", "patient"} & rows[0].keys():
        raise PredictionError(f"the training list {path} has no row with a column 'case' or 'patient'; add one")
    for key, tested in (("case", table.case), ("patient", table.patient)):
        both = sorted({str(row[key]) for row in rows if row.get(key)} & set(tested.tolist()))
        if both:
            raise PredictionError(
                f"{len(both)} test {key}s also stand in the training list {path}, first {both[0]!r}; "
                "test on others, or the numbers flatter"
            )


def _as_run(
    table: Predictions,
    primary: str,
    secondary: Sequence[str],
    margin: float | None,
    control: str | None,
    notes: list[str],
) -> RunFolder:
    arms, seeds = table.arms(), sorted(set(table.seed.tolist()))
    keys = sorted(set(zip(table.arm.tolist(), table.fold.tolist(), table.seed.tolist(), strict=True)))
    jobs = tuple(
        Job(arm, fold, seed, "finished", predictions=table.where(
            (table.arm == arm) & (table.fold == fold) & (table.seed == seed)
        ))
        for arm, fold, seed in keys
    )  # fmt: skip
    label = {} if not table.classes else dict(zip(table.case.tolist(), table.truth.tolist(), strict=True))
    patient = dict(zip(table.case.tolist(), table.patient.tolist(), strict=True))
    cases = tuple(
        {"case": case, "patient": name, "label": table.classes[label[case]] if label else ""}
        for case, name in patient.items()
    )
    tested = [dict.fromkeys(table.case[table.fold == fold].tolist()) for fold in np.unique(table.fold)]
    lock = {
        "protocol_sha256": None, "name": "audit", "question": "Audit of predictions made elsewhere",
        "cohort": {
            "name": "predictions made elsewhere", "patients": len(set(patient.values())), "cases": len(patient),
            "classes": {name: sum(one == i for one in label.values()) for i, name in enumerate(table.classes)},
        },
        "split": {"scheme": "unknown", "folds": [{"train": [], "validation": [], "test": list(t)} for t in tested]},
        "endpoints": {"primary": primary, "secondary": list(secondary), "margin": margin, "family": control or "all"},
        "arms": [{"name": arm} for arm in arms], "seeds": seeds,
        "jobs": [{"arm": arm, "fold": fold, "seed": seed} for arm, fold, seed in keys],
        "own": _own(table, [primary, *secondary]), "code_folder": str(Path.cwd()),
    }  # fmt: skip
    return RunFolder(Path(), lock, cases, jobs, (), {}, LedgerState(0, False, _ELSEWHERE), tuple(notes))


def _own(table: Predictions, names: Sequence[str]) -> dict[str, Any]:
    """The caller's own functions of all cases, from this folder; a column of the table of that name comes first."""
    wanted = [name for name in names if is_own(name) and name not in table.metrics]
    return describe_own(wanted, Path.cwd(), masks=False)


def _page(results: dict[str, Any]) -> str:
    """What an audit can know, as one page: verdicts, warnings, estimates and differences; every word is escaped."""
    names = {arm["name"]: arm["name"] for arm in results["arms"]}
    said = endpoint_name(results["endpoints"]["primary"], len(results["cohort"]["classes"]))
    body = [f"<p><strong>Exploratory.</strong> {escape(_ELSEWHERE)}.</p>"]
    body += [
        f"<h2>{escape(a.question)}</h2><p>{escape(a.answer)}</p><p>{escape(a.detail or '')}</p>"
        for a in answers(results, names)
    ]
    body.append("<h2>Warnings</h2><ul>" + "".join(f"<li>{escape(w)}</li>" for w in results["warnings"]) + "</ul>")
    body.append(f"<h2>{escape(said)} of each arm</h2><ul>")
    for arm in results["arms"]:
        value = arm["endpoints"][results["endpoints"]["primary"]]
        shown = value.get("reason") or "no result"
        if value["estimate"] is not None:
            shown = f"{number(value['estimate'])} ({interval(value['low'], value['high'])})"
        body.append(f"<li>{escape(arm['name'])}: {escape(shown)}</li>")
    body.append("</ul><h2>Differences</h2><ul>")
    body += [f"<li>{escape(one['sentence'])}</li>" for one in sentences(results, "comparisons", names, said)]
    title = "Audit of predictions made elsewhere"
    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>{policy}</head>'
    return f"{head}<body><h1>{title}</h1>{''.join(body)}</ul></body></html>\n"
