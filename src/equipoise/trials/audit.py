"""Audit: judge predictions made elsewhere by the functions of a trial, without a ledger."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from equipoise.cohorts.identities import PLAIN, PSEUDONYMS, user_key
from equipoise.errors import EquipoiseError
from equipoise.evaluation.external import (
    PATIENTS,
    AuditOptions,
    Collected,
    ListFile,
    collect,
    collect_table,
    metric_named,
    parse_columns,
    parse_regions,
    read_list,
    scores_text,
    split_arm,
    training_list,
)
from equipoise.progress import Watch, silent
from equipoise.report import write_pages
from equipoise.report.summary import results_of
from equipoise.runfolder.ownership import AUDIT, claim, prove_ours
from equipoise.runfolder.read import RunFolder
from equipoise.statistics.endpoints import CALLED, PRIMARY_OF_SCORES, is_share
from equipoise.trials.audit_agreement import OnPersons, agreed
from equipoise.trials.audit_names import hidden
from equipoise.trials.audit_plan import own_metrics, plan_of
from equipoise.trials.audit_run import run_of
from equipoise.trials.audit_settings import AuditSettings


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
    scores: str | Mapping[str, str] | None = None,
    ignore: Sequence[int] = (),
    threshold: float | None = None,
    images: str | Path | None = None,
    training: str | Path | None = None,
    allow_trained: bool = False,
    below_chance: bool = False,
    growing: int | None = None,
    margins: Mapping[str, float] | str | None = None,
    failure_values: Mapping[str, float] | Sequence[str] = (),
    ids: str = PSEUDONYMS,
    watch: Watch = silent,
) -> dict[str, Any]:
    """Judge predictions made elsewhere; return the dictionary of results.json, and with `out` write it and a report.

    predictions: a table in memory (pyarrow.Table, dictionary of columns, data frame), or a path, a list of paths, or a
    mapping of arm to path; a path may be written "arm=path". Each is recognised by its content: long CSV or Parquet
    tables, nnU-Net's summary.json, MONAI's and MedMNIST's CSV files, masks. An arm named twice has several runs.

    primary: the endpoint compared, also your own `module:attribute`; for masks "auc" means the mean Dice. margin: the
    smallest difference that matters. control: compare every arm with this one alone. secondary: by default those that
    the files allow. truth: folder of true masks, MedMNIST .npz, or table of case, truth. regions: see `parse_regions`.
    columns: roles of columns, as `parse_columns` reads them. scores: "probabilities", "percent" or "logits", where a
    table does not say, or a mapping of arm to one of them; "percent" also of metrics that are shares, as Dice.
    ignore: labels of the true masks that nobody annotated, whose voxels count for no arm.
    threshold: the score of the positive class from which sensitivity, specificity, PPV and NPV call a case so.
    images: folder of images named by case, for the example cases of the report.
    classes: names in the order of the scores. metric: the name of a file's unnamed values. higher_is_better,
    lower_is_better: your own metrics, by name. patients: CSV, or mapping, of case and patient. subgroups: columns of
    cases. below_chance: scores, or labels of masks, are right, although they look exchanged. failure_values: metric to
    the value of a failed case (or "metric=value"), where its range has no worst end. growing: the audit is repeated
    while patients are added; the number of patients at which its intervals shall be narrowest, the same at every look.
    ids: "pseudonyms" or "plain", how what is written names cases and patients; what is returned names them plainly.
    margins: of secondary endpoints (or "surface_dice=0.02,hd95=1"), judged in this order behind the primary one.

    Raises EquipoiseError, one sentence, for predictions that cannot be judged. The warnings state the use of
    cases_are_patients, common_cases (leave out cases that some arm lacks or that have different truths) and
    allow_trained (judge although test cases were trained on, also by folds that divide a patient).
    """
    settings = AuditSettings(
        primary=primary, margin=margin, control=control, secondary=secondary, positive=positive, subgroups=subgroups,
        truth=truth, regions=regions, classes=classes, metric=metric, higher_is_better=higher_is_better,
        lower_is_better=lower_is_better, patients=patients, cases_are_patients=cases_are_patients,
        common_cases=common_cases, columns=columns, scores=scores, ignore=ignore, threshold=threshold, images=images,
        training=training, allow_trained=allow_trained, below_chance=below_chance, growing=growing,
        margins=margins, failure_values=failure_values, ids=ids,
    )  # fmt: skip
    return audit_as_stated(predictions, settings, out, watch)


def audit_as_stated(
    predictions: Any,
    settings: AuditSettings,
    out: str | Path | None = None,
    watch: Watch = silent,
    *,
    as_written: bool = False,
) -> dict[str, Any]:
    """Judge predictions made elsewhere as `audit` does, which describes the arguments.

    as_written: return the results with the names that outputs give cases and patients; what a command prints is sent
    and kept like a file.
    """
    if out is not None:
        # Checked first: reading thousands of masks for a result that cannot be written would waste hours.
        prove_ours(Path(out), AUDIT)
    collected = _collected(predictions, reading_options(settings), watch)
    table, notes = agreed(collected, settings)
    plan = plan_of(table, collected, settings)
    run = run_of(table, plan, collected, [*plan.chosen, *notes, *plan.notes], settings.images)
    persons = [note for note in notes if isinstance(note, OnPersons)]
    printed = [*persons, *plan.chosen]
    results = results_of(run) | {"assumptions": [*collected.readings, *collected.notes, *printed]}
    if out is None and not as_written:
        return results
    shown = (run, results) if settings.ids == PLAIN else hidden(run, results, user_key(), collected)
    if out is not None:
        _write(Path(out), *shown)
    return shown[1] if as_written else results


def reading_options(settings: AuditSettings) -> AuditOptions:
    """Return what the readers of files need to know."""
    regions, columns = parse_regions(settings.regions), parse_columns(settings.columns)
    patients = _patients(settings.patients, columns)
    lists = [patients] if isinstance(patients, ListFile) else []
    lists += [] if settings.training is None else [training_list(Path(settings.training), columns)]
    return AuditOptions(
        truth=None if settings.truth is None else Path(settings.truth), regions=regions,
        classes=tuple(settings.classes), metric=metric_named(settings.metric),
        patients=patients.values if isinstance(patients, ListFile) else patients,
        cases_are_patients=settings.cases_are_patients, subgroups=tuple(settings.subgroups),
        own=own_metrics([settings.primary, *(settings.secondary or ())], regions),
        columns=columns, calls=tuple(one.name for one in CALLED), scores=scores_text(settings.scores),
        positive=settings.positive, primary=settings.primary, ignore=tuple(settings.ignore),
        below_chance=settings.below_chance, lists=tuple(lists), is_share=is_share,
        common_cases=settings.common_cases,
    )  # fmt: skip


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


def _patients(
    given: str | Path | Mapping[str, str] | None, columns: Mapping[str, tuple[str, ...]]
) -> ListFile | Mapping[str, str] | None:
    if given is None or isinstance(given, Mapping):
        return given
    return read_list(Path(given), "case", "patient", PATIENTS, columns)
