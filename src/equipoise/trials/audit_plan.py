"""What an audit compares: the endpoints, as stated or as the predictions allow, with what the caller states of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.errors import ProtocolError
from equipoise.evaluation.external import Collected, masks, parse_regions
from equipoise.evaluation.external.units import units_stated
from equipoise.evaluation.external.unlike_tables import refuse_truth_as_metric
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.segmentation import Metric
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
    endpoint_named,
    of_case,
)
from equipoise.statistics.failure_marks import perfect_marks, refuse_marks
from equipoise.statistics.failure_values import check_failure_values, parse_failure_values
from equipoise.statistics.margins import check_margins, parse_margins, refuse_wide_margin
from equipoise.statistics.own import describe_own, function_of, is_own, per_case_functions
from equipoise.statistics.turned_classes import refuse_turned
from equipoise.trials.audit_columns import (
    MEASURED_BY_TOOL,
    Chosen,
    directions_named,
    not_judged,
    refuse_lacking_mean,
)
from equipoise.trials.audit_settings import AuditSettings
from equipoise.trials.audit_statements import growth, refuse_needless_confirmation, threshold_note

_MOST_SECONDARY = 12
_VOXELS = "truth_voxels_"


@dataclass(frozen=True)
class AuditPlan:
    """What is compared. endpoints: as in a lock. own: the caller's functions. chosen: why this primary endpoint.

    notes: what the caller stated, in sentences. cases_are_patients, common_cases: as the caller stated.
    """

    endpoints: dict[str, Any]
    own: dict[str, Any]
    chosen: tuple[str, ...]
    notes: tuple[str, ...]
    cases_are_patients: bool = False
    common_cases: bool = False


def plan_of(table: Predictions, collected: Collected, settings: AuditSettings) -> AuditPlan:
    """Return what an audit of these predictions compares; EquipoiseError for what they cannot answer."""
    structures = _structures(collected, settings.regions)
    settings = replace(
        settings,
        higher_is_better=directions_named(settings.higher_is_better, table.metrics, "--higher-is-better"),
        lower_is_better=directions_named(settings.lower_is_better, table.metrics, "--lower-is-better"),
    )
    directions = Directions(tuple(settings.higher_is_better), tuple(settings.lower_is_better), structures)
    primary, chosen = _primary(table, settings.primary, structures)
    if not table.classes:
        refuse_lacking_mean(primary, table.metrics)
    notes = threshold_note(table, settings.threshold, settings.positive)
    measured = any(source.kind == masks.KIND for source in collected.sources)
    refuse_needless_confirmation(table, below_chance=settings.below_chance, masks=measured)
    endpoints = _endpoints(table, settings, primary, structures) | {"units_stated": units_stated(collected)}
    check_margins(endpoints.get("margins", {}), primary, endpoints["secondary"])
    names = [primary, *endpoints["secondary"]]
    own = _own(table, names)
    _check_width(table, {primary: settings.margin, **endpoints.get("margins", {})}, own)
    if not of_case(primary, structures).direction_known and primary not in own:
        direction_stated = primary in (*settings.higher_is_better, *settings.lower_is_better)
        refuse_truth_as_metric(table, primary, direction_stated=direction_stated)
    directions.check([name for name in names if _asked(name, table, own)], table.metrics)
    values, doubts = _failure_values(table, endpoints, parse_failure_values(settings.failure_values))
    endpoints |= values
    notes += doubts
    notes += _statements(settings, endpoints["failure_values"], measured)
    chosen += not_judged(table, collected, names)
    if not settings.below_chance and not set(names) <= set(table.metrics):
        refuse_turned(table, settings.positive)
    allowed = {"cases_are_patients": settings.cases_are_patients, "common_cases": settings.common_cases}
    return AuditPlan(endpoints, own, tuple(chosen), tuple(notes), **allowed)


def compared_metric(table: Predictions, collected: Collected, settings: AuditSettings) -> str | None:
    """Return the column of metrics that an audit compares; None for scores and for one's own functions of all cases."""
    primary = _primary(table, settings.primary, _structures(collected, settings.regions))[0]
    return primary if primary in table.metrics else None


def _check_width(table: Predictions, margins: Mapping[str, float | None], own: Collection[str]) -> None:
    """Refuse margins that make arms equivalent that are not; the ranges of one's own endpoints are known later."""
    for name, margin in margins.items():
        if margin is not None and name not in own:
            refuse_wide_margin(endpoint_named(name, list(table.metrics), table.classes), margin)


def _endpoints(
    table: Predictions, settings: AuditSettings, primary: str, structures: Collection[str] | None
) -> dict[str, Any]:
    """Return the section of a lock that says what is compared."""
    margins = parse_margins(settings.margins)
    return {
        "primary": primary,
        "secondary": _secondary(table, primary, settings, structures),
        "margin": settings.margin, "family": settings.control or "all", "alpha": 0.05, "positive": settings.positive,
        "subgroups": list(settings.subgroups), "lower_is_better": list(settings.lower_is_better),
        "stated_higher": list(settings.higher_is_better),
        **({"below_chance": True} if settings.below_chance else {}), **growth(settings.growing),
        **({"margins": margins} if margins else {}),
        **({} if settings.threshold is None else {"threshold": settings.threshold}),
        "structures": None if structures is None else sorted(structures),
    }  # fmt: skip


def _statements(settings: AuditSettings, failure_values: Mapping[str, float], measured: bool) -> list[str]:
    """Repeat what the caller states of failures, growth and chance, for the report."""
    notes = [f"A failed case of {k} counts as {v:g}, as the caller stated" for k, v in failure_values.items()]
    if settings.growing is not None:
        patients = f"{settings.growing:,} patients"
        notes.append(
            "Patients are added between looks; the intervals hold at all looks together and are narrowest at "
            f"{patients}"
        )
    if settings.below_chance and measured:
        notes.append("The labels of the masks are correct even where they look swapped, as the caller stated")
    elif settings.below_chance:
        notes.append("The classes of the scores are correct even where an AUC is below 0.5, as the caller stated")
    return notes


def _primary(table: Predictions, requested: str, structures: Collection[str] | None) -> tuple[str, list[Chosen]]:
    """Return the endpoint to compare: as requested, but the mean Dice in place of an AUC without class scores."""
    if requested != PRIMARY_OF_SCORES.name or table.classes or not table.metrics:
        return requested, []
    if table.candidates is not None:
        chosen = PRIMARY_OF_CANDIDATES.name
        return chosen, [Chosen(f"The predictions are candidates of detectors, so the arms are compared by {chosen}")]
    usual = PRIMARY_OF_MASKS.name
    offered = [*(name for name in table.metrics if of_case(name, structures).beginning == usual), *table.metrics]
    chosen = usual if usual in offered else offered[0]
    return chosen, [Chosen(f"There are no class scores, so the arms are compared by {chosen}")]


def _secondary(
    table: Predictions,
    primary: str,
    settings: AuditSettings,
    structures: Collection[str] | None,
) -> list[str]:
    """Return the further endpoints: as requested, else those that are usual and those whose direction is stated."""
    if settings.secondary is not None:
        return list(settings.secondary)
    directed = [
        name
        for name in (*settings.higher_is_better, *settings.lower_is_better)
        if name in table.metrics and name != primary
    ]
    if table.classes and calls_only(table):
        two = len(table.classes) == 2
        return [one.name for one in CALLED if one.name != primary and (two or one.classes_alike)]
    if table.classes:
        at = [one.name for one in OF_CALLS] if settings.threshold is not None else []
        usual = [name for name in (*at, *(one.name for one in SECONDARY_OF_SCORES)) if name != primary]
        return list(dict.fromkeys([*usual, *directed]))
    if table.candidates is not None:
        return [one.name for one in OF_CANDIDATES if one.name != primary]
    usual = [one.name for one in SECONDARY_OF_MASKS]
    names = [name for name in table.metrics if of_case(name, structures).beginning in usual and name != primary]
    return list(dict.fromkeys([*names[:_MOST_SECONDARY], *directed]))


def calls_only(table: Predictions) -> bool:
    """Whether the scores are called classes: 1 for one class, 0 for the others."""
    return bool(np.isin(table.scores, (0.0, 1.0)).all() and (table.scores.sum(axis=1) == 1).all())


def _failure_values(
    table: Predictions, plan: Mapping[str, Any], values: dict[str, float]
) -> tuple[dict[str, Any], list[str]]:
    """Return the entry of the plan, and notes on values that may mark failures.

    Raises PredictionError for a value that a metric of the table cannot have, or that is no measurement.
    """
    names = (plan["primary"], *plan["secondary"])
    known = {name: of_case(name, plan["structures"]) for name in names if name in table.metrics}
    lower = {name: replace(one, higher_is_better=name not in plan["lower_is_better"]) for name, one in known.items()}
    directed = {k: one if one.direction_known else lower[k] for k, one in known.items()}
    check_failure_values(values, table, directed)
    notes = [*refuse_marks(table, directed, values), *perfect_marks(table, directed, values)]
    return {"failure_values": values}, notes


def _asked(name: str, table: Predictions, own: Mapping[str, Any]) -> bool:
    """Return whether the endpoint is a column whose direction no function of the caller's own states."""
    return name in table.metrics and function_of(name, _regions(table)) not in own


def _structures(collected: Collected, regions: Any) -> frozenset[str] | None:
    """Return the structures whose names may follow a metric's; None where a tool's file named the columns."""
    if all(source.kind in MEASURED_BY_TOOL for source in collected.sources):
        return None
    return frozenset({*_regions(collected.predictions), *parse_regions(regions), *collected.structures})


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


def own_metrics(names: Sequence[str], regions: Iterable[str]) -> dict[str, Metric]:
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
