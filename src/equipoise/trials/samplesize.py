"""The sample size of a planned trial from a pilot: a run folder, or predictions made elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

from equipoise.errors import EquipoiseError
from equipoise.evaluation.external import collect, split_arm
from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.report.pages.sample_size_page import grant_page
from equipoise.report.results.own_endpoints import own_endpoints
from equipoise.report.results.plain import json_safe
from equipoise.report.results.rows import part
from equipoise.report.text.reasons import sentence
from equipoise.report.text.sample_size import GrantText, grant_text
from equipoise.runfolder.paths import LOCK
from equipoise.runfolder.read import read_folder
from equipoise.statistics.adjudication import twin_arms
from equipoise.statistics.analysis import Analysis, analyse
from equipoise.statistics.endpoints import (
    PRIMARY_OF_MASKS,
    PRIMARY_OF_SCORES,
    Endpoint,
    endpoint_named,
    of_case,
)
from equipoise.statistics.margins import refuse_margin_of_range
from equipoise.statistics.panel import align
from equipoise.statistics.power import POWER, SEEDS
from equipoise.statistics.repeated_runs import without_repeats
from equipoise.statistics.sample_size import NoSampleSize, SampleSize, sample_size
from equipoise.statistics.turned_classes import refuse_turned
from equipoise.statistics.verdict import Question
from equipoise.trials.audit import reading_options
from equipoise.trials.audit_agreement import agreed
from equipoise.trials.audit_columns import refuse_lacking_mean
from equipoise.trials.audit_settings import AuditSettings


@dataclass(frozen=True)
class Pilot:
    """Test predictions, the endpoint to plan for, the positive class's index, and a difference stated by a protocol.

    notes: what its checks say, in sentences.
    """

    test: Predictions
    endpoint: Endpoint
    positive: int | None
    difference: float | None
    name: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planned:
    """A sample size with its words; warnings: what the checks of the pilot say, in sentences."""

    size: SampleSize
    text: GrantText
    warnings: tuple[str, ...] = ()

    def page(self) -> str:
        """Return a page of its own."""
        return grant_page(self.text)

    def as_json(self) -> dict[str, object]:
        """Return numbers and words as plain values."""
        plain: dict[str, object] = json_safe(self.size)
        return plain | {"text": self.text.plain(), "warnings": list(self.warnings)}


def samplesize(
    sources: Sequence[str],
    *,
    primary: str | None = None,
    difference: float | None = None,
    alpha: float = 0.05,
    power: float = POWER,
    seeds: Sequence[int] = SEEDS,
    control: str | None = None,
    positive: str | None = None,
    columns: str | None = None,
    patients: str | None = None,
    cases_are_patients: bool = False,
    trust_code: bool = False,
    scores: str | None = None,
    common_cases: bool = False,
    below_chance: bool = False,
    truth: str | None = None,
    regions: str | None = None,
) -> Planned:
    """Plan a trial that finds a difference in the primary endpoint, by the spreads of a pilot.

    sources: one run folder, or tables of predictions as `audit` reads them (class scores, or a metric for each case).
    difference: by default the margin of the run's protocol. power, alpha: of the family of all pairs of the pilot's
    arms, or of those with `control`. scores, common_cases, below_chance, truth, regions: as `audit` reads them, whose
    checks the tables pass. Raises EquipoiseError, one sentence, where the pilot allows no planning.
    """
    _check(alpha, power, seeds, difference)
    folder = Path(sources[0])
    if len(sources) == 1 and (folder / LOCK).is_file():
        pilot = _of_folder(folder, primary, trust_code)
    else:
        settings = AuditSettings(
            positive=positive, columns=columns, cases_are_patients=cases_are_patients, patients=patients,
            scores=scores, common_cases=common_cases, below_chance=below_chance, truth=truth, regions=regions,
        )  # fmt: skip
        pilot = _of_tables(sources, primary, settings)
    smallest = pilot.difference if difference is None else difference
    if smallest is None:
        raise EquipoiseError(
            "the difference to detect is not known; give the smallest difference that matters (--difference)"
        )
    refuse_margin_of_range(pilot.endpoint, smallest)
    analysis, warnings = _without_copies(pilot)
    size = _size(analysis, smallest, alpha, power, seeds, control)
    text = grant_text(size, pilot.endpoint.label, pilot.endpoint.unit, pilot.name, version("equipoise"))
    remarks = tuple(one if one.endswith(".") else f"{one}." for one in dict.fromkeys([*pilot.notes, *warnings]))
    if remarks:
        text = replace(text, paragraphs=(*text.paragraphs, f"About the pilot: {' '.join(remarks)}"))
    return Planned(size, text, remarks)


def _without_copies(pilot: Pilot) -> tuple[Analysis, list[str]]:
    """Analyse the pilot with one column for each training run, and say which were left out.

    Copies of runs or arms have no spread: EquipoiseError where one run is left of several, or an arm is another's copy.
    """
    aligned = align(pilot.test)
    panel = without_repeats(aligned, pilot.endpoint)
    for arm in panel.repeated:
        if len(panel.columns(arm)) < 2:
            one = next(reason for reason in panel.warnings if reason.facts.get("arm") == arm)
            raise EquipoiseError(f"the pilot cannot be used for planning: {sentence(one)}")
    analysis = analyse(panel, pilot.endpoint, pilot.positive)
    twins = twin_arms(analysis)
    copies = [reason for reason in twins if reason.code == "same_predictions"]
    if copies:
        raise EquipoiseError(f"the pilot cannot be used for planning: {sentence(copies[0])}")
    repeated = [reason for reason in panel.warnings if reason not in aligned.warnings]
    return analysis, [sentence(reason) for reason in [*repeated, *twins]]


def _size(
    analysis: Analysis, difference: float, alpha: float, power: float, seeds: Sequence[int], control: str | None
) -> SampleSize:
    names = analysis.arms.names if analysis.design is not None else ()
    if len(names) < 2 or (control is not None and control not in names):
        known = ", ".join(names) or "none"
        raise EquipoiseError(f"a pilot needs two arms, and the control must be one of them; usable here: {known}")
    pairs = [(a, control) for a in names if a != control] if control else list(combinations(names, 2))
    networks = bool((analysis.arms.seeds == 1).all())
    question = Question(difference, alpha, 1 - alpha, "primary", frozenset(), True, False, networks=networks)
    try:
        return sample_size(analysis, pairs, question, power=power, seeds=seeds)
    except NoSampleSize as error:
        raise EquipoiseError(f"the pilot cannot be used for planning: {sentence(error.reason)}") from error


def _check(alpha: float, power: float, seeds: Sequence[int], difference: float | None) -> None:
    if difference is not None and not difference > 0:
        raise EquipoiseError(
            f"a difference of {difference:g} cannot be detected by any trial; give the smallest difference that "
            "matters, above 0 (--difference)"
        )
    if not 0 < alpha < 0.5:
        raise EquipoiseError(f"alpha {alpha:g} is not between 0 and 0.5; use 0.05")
    if not 0.5 <= power < 1:
        raise EquipoiseError(f"a power of {power:g} is not between 0.5 and 1; use 0.8 or 0.9")
    if not seeds or min(seeds) < 3:
        raise EquipoiseError(
            f"a verdict on methods needs at least three runs of each arm, and --seeds is {list(seeds)}; use 3,5,10"
        )


def _of_folder(folder: Path, primary: str | None, trust_code: bool) -> Pilot:
    """Read a run folder; its baselines, which have no runs, are no arms of the plan."""
    run = read_folder(folder, trust_code)
    tables = [table for arm in run.arms() if (table := part(run.finished(arm), "test")) is not None]
    if not tables:
        raise EquipoiseError(f"{folder} has no test predictions; finish the run first (equipoise run)")
    plan, test = run.lock["endpoints"], concatenate(tables)
    name = primary or plan["primary"]
    custom = own_endpoints(run.lock, run.path, test.metrics, run.trusted)
    endpoint = endpoint_named(name, list(test.metrics), test.classes, custom)
    margin = plan.get("margin") if name == plan["primary"] else (plan.get("margins") or {}).get(name)
    return Pilot(
        test, endpoint, _positive(test, plan.get("positive"), endpoint), margin, f"the trial {run.lock['name']!r}"
    )


def _of_tables(sources: Sequence[str], primary: str | None, settings: AuditSettings) -> Pilot:
    """Read predictions made elsewhere, by the functions and the checks of an audit."""
    given = [split_arm(one) for one in sources]
    collected = collect([(arm, Path(path)) for arm, path in given], reading_options(settings))
    table, notes = agreed(collected, settings if primary is None else replace(settings, primary=primary))
    name = primary or _usual(table)
    if name in table.metrics and not of_case(name).direction_known:
        raise EquipoiseError(
            f"it is not known whether higher or lower values of {name!r} are better; name a known metric (--primary)"
        )
    endpoint = endpoint_named(name, list(table.metrics), table.classes, {})
    positive = _positive(table, settings.positive, endpoint)
    if name not in table.metrics and not settings.below_chance:
        refuse_turned(table, settings.positive)
    files = ", ".join(Path(path).name for _, path in given)
    return Pilot(
        table, endpoint, positive, None, f"predictions made elsewhere ({files})", (*collected.readings, *notes)
    )


def _usual(table: Predictions) -> str:
    """Return the endpoint of scores, that of masks where the table has it, or its first metric."""
    if table.classes or not table.metrics:
        return PRIMARY_OF_SCORES.name
    refuse_lacking_mean(PRIMARY_OF_MASKS.name, table.metrics)
    return PRIMARY_OF_MASKS.name if PRIMARY_OF_MASKS.name in table.metrics else next(iter(table.metrics))


def _positive(table: Predictions, named: str | None, endpoint: Endpoint) -> int | None:
    if not table.classes or endpoint.classes_alike:
        return None
    if named is not None and named not in table.classes:
        raise EquipoiseError(f"the positive class {named!r} does not exist; the classes are {', '.join(table.classes)}")
    return table.classes.index(named) if named is not None else 1 if len(table.classes) == 2 else None
