"""Audit: judge predictions made elsewhere by the functions of a trial, without a ledger."""

import os
import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.cohorts.splits.patient_names import one_spelling, spelling_note
from equipoise.errors import EquipoiseError, PredictionError, ProtocolError
from equipoise.evaluation.external import (
    AuditOptions,
    Collected,
    collect,
    collect_table,
    masks,
    monai,
    nnunet,
    parse_columns,
    parse_regions,
    read_column,
    split_arm,
)
from equipoise.evaluation.external.agreement import (
    alike_means,
    common,
    disjoint,
    not_trained,
    same_truths,
    unpredicted,
)
from equipoise.evaluation.external.example_images import ImagesByCase, OutlinesByCase
from equipoise.evaluation.external.fold_sets import whole_folds
from equipoise.evaluation.external.likeness import alike_arms, alike_cases, alike_patients, twin_cases
from equipoise.evaluation.external.units import units_stated
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.segmentation import Metric
from equipoise.progress import Watch, silent
from equipoise.report import write_pages
from equipoise.report.summary import results_of
from equipoise.runfolder.ledger_state import LedgerState
from equipoise.runfolder.ownership import AUDIT, claim, prove_ours
from equipoise.runfolder.read import JobRecord, RunFolder
from equipoise.statistics.directions import Directions
from equipoise.statistics.endpoints import (
    CALLED,
    OF_CALLS,
    OF_CANDIDATES,
    PRIMARY_OF_CANDIDATES,
    PRIMARY_OF_MASKS,
    PRIMARY_OF_SCORES,
    SECONDARY_OF_MASKS,
    SECONDARY_OF_SCORES,
    of_case,
)
from equipoise.statistics.failure_values import check_failure_values, parse_failure_values
from equipoise.statistics.margins import check_margins, parse_margins
from equipoise.statistics.own import describe_own, function_of, is_own, per_case_functions
from equipoise.statistics.turned_classes import refuse_turned
from equipoise.trials.audit_statements import growth, refuse_needless_confirmation, threshold_note

_ELSEWHERE = "This is an audit of predictions made elsewhere: no ledger proves when the test set was opened"
_APART = "No case was predicted by more than one arm, so arms cannot be compared, only listed case by case"
_NO_FOLDER = Path(os.devnull)  # no file of the current folder may be read as one of the run
_MOST_SECONDARY = 12
_VOXELS = "truth_voxels_"
_NETWORKS = (
    "Every arm has one training run, so the verdicts are about these trained networks on patients like these, "
    "and not about the methods"
)
_NAMED_BY_TOOL = (masks.KIND, nnunet.KIND, monai.METRICS, monai.VALUES)


def audit(
    predictions: Any,
    primary: str = PRIMARY_OF_SCORES.name,
    margin: float | None = None,
    control: str | None = None,
    *,
    out: str | Path | None = None,
    secondary: Sequence[str] | None = None,
    positive: str | None = None,
    subgroups: Sequence[str] = (),
    truth: str | Path | None = None,
    regions: str | Sequence[str] | Mapping[str, Sequence[int]] | None = None,
    classes: Sequence[str] = (),
    metric: str | None = None,
    higher_is_better: Sequence[str] = (),
    lower_is_better: Sequence[str] = (),
    patients: str | Path | Mapping[str, str] | None = None,
    cases_are_patients: bool = False,
    common_cases: bool = False,
    columns: str | Mapping[str, Any] | None = None,
    scores: str | None = None,
    ignore: Sequence[int] = (),
    threshold: float | None = None,
    images: str | Path | None = None,
    training: str | Path | None = None,
    allow_trained: bool = False,
    below_chance: bool = False,
    growing: int | None = None,
    margins: Mapping[str, float] | str | None = None,
    failure_values: Mapping[str, float] | Sequence[str] = (),
    watch: Watch = silent,
) -> dict[str, Any]:
    """Judge predictions made elsewhere; return the dictionary of results.json, and with `out` write it and a report.

    predictions: a table in memory (pyarrow.Table, dictionary of columns, data frame), or a path, a list of paths, or a
    mapping of arm to path; a path may be written "arm=path". Each is recognised by its content: long CSV or Parquet
    tables, nnU-Net's summary.json, MONAI's and MedMNIST's CSV files, masks. An arm named twice has several runs.

    primary: the endpoint compared, also your own `module:attribute`; for masks "auc" means the mean Dice. margin: the
    smallest difference that matters. control: compare every arm with this one alone. secondary: by default those that
    the files allow. truth: folder of true masks, MedMNIST .npz, or CSV of case and truth. regions: see `parse_regions`.
    columns: roles of columns, as `parse_columns` reads them. scores: "probabilities" or "logits", where a table does
    not say. ignore: labels of the true masks that nobody annotated, whose voxels count for no arm.
    threshold: the score of the positive class from which sensitivity, specificity, PPV and NPV call a case so.
    images: folder of images named by case, for the example cases of the report.
    classes: names in the order of the scores. metric: the name of a file's unnamed values. higher_is_better,
    lower_is_better: your own metrics, by name. patients: CSV, or mapping, of case and patient. subgroups: columns of
    cases. below_chance: the scores are right, although an arm's AUC is below one half. failure_values: metric to the
    value of a failed case (or "metric=value"), where its range has no worst end. growing: the audit is repeated while
    patients are added; the number of patients at which its intervals shall be narrowest, the same at every look.
    margins: of secondary endpoints (or "surface_dice=0.02,hd95=1"), judged in this order behind the primary one.

    Raises EquipoiseError, one sentence, for predictions that cannot be judged. The warnings state the use of
    cases_are_patients, common_cases (leave out cases that some arm lacks or that have different truths) and
    allow_trained (judge although test cases were trained on, also by folds that divide a patient).
    """
    if out is not None:
        # Checked first: reading thousands of masks for a result that cannot be written would waste hours.
        prove_ours(Path(out), AUDIT)
    options = AuditOptions(
        truth=None if truth is None else Path(truth), regions=parse_regions(regions), classes=tuple(classes),
        metric=metric, patients=_patients(patients), cases_are_patients=cases_are_patients, subgroups=tuple(subgroups),
        own=_own_metrics([primary, *(secondary or ())], parse_regions(regions)), columns=parse_columns(columns),
        calls=tuple(one.name for one in CALLED), scores=scores, positive=positive, primary=primary,
        ignore=tuple(ignore), )  # fmt: skip
    collected = _collected(predictions, options, watch)
    table, notes = _agreed(collected, common_cases, training, allow_trained)
    table, spelled = _one_spelling(table)
    notes += spelled
    notes += [_APART] if disjoint(table) else []
    if cases_are_patients:
        notes.append("Every case was taken for another patient, as the caller stated")
    structures = _structures(collected, regions)
    directions = Directions(tuple(higher_is_better), tuple(lower_is_better), structures)
    endpoint, note = _primary(table, primary, structures)
    notes += threshold_note(table, threshold, positive)
    refuse_needless_confirmation(table, below_chance=below_chance)
    plan: dict[str, Any] = {
        "primary": endpoint, "secondary": _secondary(table, endpoint, secondary, structures, threshold),
        "margin": margin, "family": control or "all", "alpha": 0.05, "positive": positive,
        "subgroups": list(subgroups), "lower_is_better": list(lower_is_better), "stated_higher": list(higher_is_better),
        **({"below_chance": True} if below_chance else {}), **growth(growing),
        **({"margins": of_secondary} if (of_secondary := parse_margins(margins)) else {}),
        **({} if threshold is None else {"threshold": threshold}),
        "structures": None if structures is None else sorted(structures), "units_stated": units_stated(collected),
    }  # fmt: skip
    check_margins(of_secondary, endpoint, plan["secondary"])
    own = _own(table, [plan["primary"], *plan["secondary"]])
    directions.check([name for name in (endpoint, *plan["secondary"]) if _asked(name, table, own)], table.metrics)
    plan |= _failure_values(table, plan, parse_failure_values(failure_values))
    notes += [f"A failed case of {k} counts as {v:g}, as the caller stated" for k, v in plan["failure_values"].items()]
    if growing is not None:
        notes.append(f"Patients are added between looks, all of which hold together; sharpest at {growing:,} patients")
    if below_chance:
        notes.append("The classes of the scores are right also where an AUC is below 0.5, as the caller stated")
    elif not {plan["primary"], *plan["secondary"]} <= set(table.metrics):
        refuse_turned(table, positive)
    run = _with_left_out(_as_run(table, plan, collected, own, [*note, *notes]), collected.predictions, table)
    if images is not None:
        truths = {case: truth for (_, case), (truth, _) in collected.masks.items()}
        pictures = ImagesByCase(Path(images), truths)
        run = replace(run, thumbnails=pictures, outlines=OutlinesByCase(collected.masks))
        run = replace(run, problems=(*run.problems, *_pictured(run, pictures)))
    if run.lock["networks"] and len(run.arms()) > 1:
        run = replace(run, problems=(*run.problems, _NETWORKS))
    results = results_of(run) | {"assumptions": list(collected.notes)}
    if out is not None:
        _write(Path(out), run, results)
    return results


def _one_spelling(table: Predictions) -> tuple[Predictions, list[str]]:
    """Give every patient one name, and say where names were joined."""
    spellings = one_spelling(table.patient.tolist())
    if not spellings:
        return table, []
    names = np.array([spellings.get(name, name) for name in table.patient.tolist()])
    return replace(table, patient=names), [spelling_note(spellings)]


def _with_left_out(run: RunFolder, before: Predictions, after: Predictions) -> RunFolder:
    """Keep how many test cases were left out because an arm lacks them: perhaps those on which it fails."""
    tested, judged = (len(set(table.case[table.split == "test"].tolist())) for table in (before, after))
    if tested == judged:
        return run
    caution = f"{tested - judged} of {tested} test cases were left out, which an arm lacks or has with another truth"
    ledger = replace(run.ledger, cautions=(*run.ledger.cautions, caution))
    return replace(run, lock={**run.lock, "left_out": {"cases": tested - judged, "of": tested}}, ledger=ledger)


def _write(out: Path, run: RunFolder, results: dict[str, Any]) -> None:
    try:
        claim(out, AUDIT)
        write_pages(out, run, results)
    except OSError as error:
        raise EquipoiseError(f"{out} cannot be written ({error}); name another folder with --out") from error


def _collected(predictions: Any, options: AuditOptions, watch: Watch) -> Collected:
    if isinstance(predictions, str | Path):
        predictions = [predictions]
    if isinstance(predictions, Mapping) and all(isinstance(one, str | Path) for one in predictions.values()):
        return collect([(str(arm), Path(path)) for arm, path in predictions.items()], options, watch)
    if not isinstance(predictions, list | tuple):
        return collect_table(predictions, options)
    named = [split_arm(str(one)) for one in predictions]
    return collect([(arm, Path(path)) for arm, path in named], options, watch)


def _patients(given: str | Path | Mapping[str, str] | None) -> Mapping[str, str] | None:
    if given is None or isinstance(given, Mapping):
        return given
    return read_column(Path(given), "case", "patient", "list of patients")


def _agreed(
    collected: Collected, common_cases: bool, training: str | Path | None, allow_trained: bool
) -> tuple[Predictions, list[str]]:
    """Return the rows that can be judged together, and sentences about assumptions and omissions."""
    notes = [*collected.notes, *unpredicted(collected.predictions, collected.unpredicted, common_cases=common_cases)]
    alike_arms(collected.predictions)
    notes += alike_cases(collected.predictions, common_cases=common_cases)
    table, more = same_truths(collected.predictions, common_cases=common_cases)
    notes += [*more, *alike_patients(table), *twin_cases(table), *whole_folds(table, allowed=allow_trained)]
    table, more = alike_means(table)
    notes += more
    if common_cases:
        table, more = common(table)
        notes += more
    if training is not None:
        notes += not_trained(table, Path(training), allowed=allow_trained)
    return table, notes


def _primary(table: Predictions, requested: str, structures: Collection[str] | None) -> tuple[str, list[str]]:
    """Return the endpoint to compare: as requested, but the mean Dice in place of an AUC without class scores."""
    if requested != PRIMARY_OF_SCORES.name or table.classes or not table.metrics:
        return requested, []
    if table.candidates is not None:
        chosen = PRIMARY_OF_CANDIDATES.name
        return chosen, [f"The predictions are candidates of detectors, so the arms are compared by {chosen}"]
    usual = PRIMARY_OF_MASKS.name
    offered = [*(name for name in table.metrics if of_case(name, structures).beginning == usual), *table.metrics]
    chosen = usual if usual in offered else offered[0]
    return chosen, [f"There are no class scores, so the arms are compared by {chosen}"]


def _secondary(
    table: Predictions,
    primary: str,
    requested: Sequence[str] | None,
    structures: Collection[str] | None,
    threshold: float | None = None,
) -> list[str]:
    if requested is not None:
        return list(requested)
    if table.classes and _calls_only(table):
        two = len(table.classes) == 2
        return [one.name for one in CALLED if one.name != primary and (two or one.classes_alike)]
    if table.classes:
        at = [one.name for one in OF_CALLS] if threshold is not None else []
        return [name for name in (*at, *(one.name for one in SECONDARY_OF_SCORES)) if name != primary]
    if table.candidates is not None:
        return [one.name for one in OF_CANDIDATES if one.name != primary]
    usual = [one.name for one in SECONDARY_OF_MASKS]
    names = [name for name in table.metrics if of_case(name, structures).beginning in usual and name != primary]
    return names[:_MOST_SECONDARY]


def _calls_only(table: Predictions) -> bool:
    """Whether the scores are called classes: 1 for one class, 0 for the others."""
    return bool(np.isin(table.scores, (0.0, 1.0)).all() and (table.scores.sum(axis=1) == 1).all())


def _failure_values(table: Predictions, plan: Mapping[str, Any], values: dict[str, float]) -> dict[str, Any]:
    """Return the entry of the plan; PredictionError for a value that a metric of the table cannot have."""
    names = (plan["primary"], *plan["secondary"])
    known = {name: of_case(name, plan["structures"]) for name in names if name in table.metrics}
    lower = {name: replace(one, higher_is_better=name not in plan["lower_is_better"]) for name, one in known.items()}
    check_failure_values(values, table, {k: one if one.direction_known else lower[k] for k, one in known.items()})
    return {"failure_values": values}


def _asked(name: str, table: Predictions, own: Mapping[str, Any]) -> bool:
    """Return whether the endpoint is a column whose direction no function of the caller's own states."""
    return name in table.metrics and function_of(name, _regions(table)) not in own


def _structures(collected: Collected, regions: Any) -> frozenset[str] | None:
    """Return the structures whose names may follow a metric's; None where a tool's file named the columns."""
    if all(source.kind in _NAMED_BY_TOOL for source in collected.sources):
        return None
    return frozenset({*_regions(collected.predictions), *parse_regions(regions), *collected.structures})


def _as_run(
    table: Predictions, plan: dict[str, Any], collected: Collected, own: dict[str, Any], notes: list[str]
) -> RunFolder:
    """Return the predictions as a run folder in memory, the input of results and report."""
    test = table.where(table.split == "test")
    if not len(test):
        raise PredictionError("the predictions have no row of split 'test'; a verdict needs test predictions of an arm")
    keys = sorted(set(zip(table.arm.tolist(), table.fold.tolist(), table.seed.tolist(), strict=True)))
    # As a run folder, so that an audit and a trial pass through the same functions and cannot differ in a formula.
    jobs = tuple(
        JobRecord(arm, fold, seed, "finished", predictions=table.where(
            (table.arm == arm) & (table.fold == fold) & (table.seed == seed)
        ))
        for arm, fold, seed in keys
    )  # fmt: skip
    label = dict(zip(test.case.tolist(), test.truth.tolist(), strict=True)) if table.classes else {}
    patient = dict(zip(test.case.tolist(), test.patient.tolist(), strict=True))
    cases = tuple(
        {
            "case": case, "patient": name, "label": table.classes[label[case]] if label else "",
            **{attribute: values.get(case, "") for attribute, values in collected.attributes.items()},
        }
        for case, name in patient.items()
    )  # fmt: skip
    tested = [dict.fromkeys(test.case[test.fold == fold].tolist()) for fold in np.unique(test.fold)]
    lock = {
        "protocol_sha256": None, "name": "audit", "question": "Audit of predictions made elsewhere",
        "cohort": {
            "name": "predictions made elsewhere", "patients": len(set(patient.values())), "cases": len(patient),
            "classes": {name: sum(one == i for one in label.values()) for i, name in enumerate(table.classes)},
        },
        "split": {"scheme": "unknown", "folds": [{"train": [], "validation": [], "test": list(t)} for t in tested]},
        "endpoints": plan, "arms": [{"name": arm} for arm in table.arms()],
        "seeds": sorted(set(table.seed.tolist())),
        "jobs": [{"arm": arm, "fold": fold, "seed": seed} for arm, fold, seed in keys],
        "versions": {"equipoise": version("equipoise"), "numpy": np.__version__, "python": platform.python_version()},
        "own": own, "code_folder": str(Path.cwd()), "networks": _one_run_each(keys),
        "calls_only": bool(table.classes) and _calls_only(table),
    }  # fmt: skip
    sources = tuple(asdict(source) for source in collected.sources)
    return RunFolder(
        _NO_FOLDER, lock, cases, jobs, (), {}, LedgerState(0, False, _ELSEWHERE), tuple(notes), sources=sources
    )


def _pictured(run: RunFolder, pictures: ImagesByCase) -> list[str]:
    """Say how many cases have no image of their name."""
    cases = [str(row["case"]) for row in run.cases]
    lost = [case for case in cases if case not in set(pictures)]
    return [f"{len(lost)} of {len(cases)} cases have no image of their name, {lost[0]!r} first"] if lost else []


def _one_run_each(jobs: Sequence[tuple[str, int, int]]) -> bool:
    """Whether each of several arms has one training run: then the question is about these trained networks."""
    runs = {(arm, seed) for arm, _, seed in jobs}
    return len(runs) == len({arm for arm, _ in runs})


def _own(table: Predictions, names: Sequence[str]) -> dict[str, Any]:
    """Describe the caller's own functions, from this folder: of all cases, or of masks whose values are a column.

    A column may have the name of a function that cannot be imported: its direction must then be stated.
    """
    pooled = [name for name in names if is_own(name) and name not in table.metrics]
    described = describe_own(pooled, Path.cwd(), masks=False)
    for name in (function_of(name, _regions(table)) for name in names if is_own(name) and name in table.metrics):
        try:
            described |= describe_own([name], Path.cwd(), masks=True)
        except ProtocolError:
            continue
    return described


def _own_metrics(names: Sequence[str], regions: Iterable[str]) -> dict[str, Metric]:
    """Import those of the caller's own functions that are available, to measure masks."""
    metrics: dict[str, Metric] = {}
    for name in (function_of(name, regions) for name in names if is_own(name)):
        try:
            metrics |= per_case_functions([name], Path.cwd())
        except ProtocolError:
            continue
    return metrics


def _regions(table: Predictions) -> list[str]:
    """Return the structures whose voxels the table counts."""
    return [name.removeprefix(_VOXELS) for name in table.metrics if name.startswith(_VOXELS)]
