"""Derive the plan from a protocol before training: cases, split, jobs, draws, and reasons for a refusal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts import Cohort
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.read_once import read_once
from equipoise.cohorts.sources import load, parameters_of
from equipoise.cohorts.splits.leakage import IN_ONE_PART, LIKENESS, OF_PIXELS, Leak, find_leaks
from equipoise.cohorts.splits.patient_groups import with_guessed_patients
from equipoise.cohorts.splits.patient_names import with_one_spelling
from equipoise.cohorts.splits.person_stems import deepest_stems, regular_stems
from equipoise.cohorts.splits.split import Fold, split
from equipoise.configuration.auto import is_open, resolved
from equipoise.configuration.fingerprint import fingerprint
from equipoise.engines import ranks
from equipoise.engines.execution import LOCAL, Execution
from equipoise.errors import CohortError, PredictionError, ProtocolError
from equipoise.evaluation.segmentation import metric_columns
from equipoise.lookup import nearest
from equipoise.preprocessing import Pipeline
from equipoise.progress import remark
from equipoise.protocol import Protocol
from equipoise.protocol.named_code import announce_code
from equipoise.protocol.split_section import OF_NO_SPLIT
from equipoise.report.text.words import plural
from equipoise.runfolder.job import Job
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.margins import refuse_wide_margin, wide_margin
from equipoise.statistics.own import is_own, try_out
from equipoise.statistics.reasons import Reason
from equipoise.training.data.samples import Samples
from equipoise.training.external.installed import refuse_absent
from equipoise.training.preparation.staging import plan_jobs, samples_of
from equipoise.training.tuning.draws import Plan, draw_jobs, plan_draws
from equipoise.trials.known_weights import leaking_weights
from equipoise.trials.spelling import refuse_misspelt

_NAMED = 3
"""Pairs of copies that a refusal names."""


@dataclass(frozen=True)
class Trial:
    """A protocol with everything that is derived from it before training; `out` is its run folder.

    cohort: its first training cases, on which the arms are tried, are read once. cards: of its cases.
    configured: what stands in place of every preset "auto", with the fingerprint; empty without one.
    draws: the jobs of tuning, which precede `jobs`, with the settings in `tuning`; empty without tuning.
    how: where jobs run, which is no part of the plan.
    """

    protocol: Protocol
    cohort: Cohort
    folds: tuple[Fold, ...]
    pipeline: Pipeline
    jobs: list[Job]
    out: Path
    tuning: Plan
    draws: list[Job]
    cards: CaseCards
    configured: dict[str, Any] = field(default_factory=dict)
    how: Execution = LOCAL


def read(protocol: Protocol | str | Path) -> tuple[Protocol, Cohort]:
    """Read the protocol and the cohort that it names.

    Raises EquipoiseError (one sentence) for errors that the user can correct.
    """
    if not isinstance(protocol, Protocol):
        announce_code(Path(protocol))
        protocol = Protocol.load(protocol)
    refuse_misspelt(protocol)
    return protocol, load(protocol.cohort, protocol.cohort_path, protocol.folder)


def plan(protocol: Protocol, cohort: Cohort, out: str | Path, cards: CaseCards | None = None) -> Trial:
    """Split the cohort and list the jobs; nothing is written. Images are read only if patients are guessed from them.

    cards: the cohort's, where they exist already.
    Raises CohortError where the cohort cannot be split as stated, ProtocolError for endpoints or subgroups it lacks.
    """
    cards = cards or CaseCards(cohort)
    _check_programs(protocol)
    # First what costs nothing: a mistyped endpoint is reported before guessing patients reads every image.
    for name in (protocol.endpoints.primary, *protocol.endpoints.secondary):
        endpoint_of(name, cohort, protocol.folder)
    _check_margin(protocol, cohort)
    cohort.task_record.check(cohort)  # now, and not after hours of training
    cohort = with_one_spelling(cohort)
    if protocol.split.patients == "guessed":
        cohort = with_guessed_patients(cohort, cards)
    _check_ignored(protocol, cohort)
    _check_subgroups(protocol.endpoints.subgroups, cohort)
    folds = split(cohort, **protocol.split.model_dump(exclude=set(OF_NO_SPLIT)))
    cohort = read_once(cohort, _first(protocol, cohort, folds))
    protocol, configured = _configured(protocol, cohort, cards, folds)
    pipeline = Pipeline.from_settings(protocol.preprocessing)
    jobs = plan_jobs(protocol, cohort, len(folds), Path(out))
    tuning = plan_draws(protocol)
    draws = draw_jobs(protocol, jobs, tuning)
    return Trial(protocol, cohort, folds, pipeline, jobs, Path(out), tuning, draws, cards.through(cohort), configured)


def _configured(
    protocol: Protocol, cohort: Cohort, cards: CaseCards, folds: Sequence[Fold]
) -> tuple[Protocol, dict[str, Any]]:
    """Put numbers in place of every preset "auto"; of the intensities and masks, the test part is left out."""
    if not is_open(protocol):
        return protocol, {}
    known = np.setdiff1d(np.arange(len(cohort)), folds[0].test)
    return resolved(protocol, fingerprint(cohort, cards.all(), known))


def _check_programs(protocol: Protocol) -> None:
    """Refuse an arm whose program is not there, or cannot train where a launcher shares jobs between processes."""
    for arm in (arm for arm in protocol.arms if arm.nnunet is not None):
        refuse_absent(arm.name)
        if ranks.count() > 1:
            raise ProtocolError(f"arm {arm.name!r}: nnU-Net trains in one process; start the command without torchrun")


def _margins(protocol: Protocol) -> list[tuple[str, str, float | None]]:
    """Return the key, the endpoint and the width of every margin."""
    plan = protocol.endpoints
    return [("margin", plan.primary, plan.margin), *((f"margins.{k}", k, v) for k, v in plan.margins.items())]


def wide_margins(trial: Trial) -> list[Reason | None]:
    """Return the cautions of wide margins; None for one that is narrow."""
    folder = trial.protocol.folder
    return [wide_margin(endpoint_of(name, trial.cohort, folder), width) for _, name, width in _margins(trial.protocol)]


def _check_margin(protocol: Protocol, cohort: Cohort) -> None:
    for key, name, margin in _margins(protocol):
        try:
            refuse_wide_margin(endpoint_of(name, cohort, protocol.folder), margin)
        except PredictionError as error:
            raise ProtocolError(f"endpoints.{key}: {error}") from error


def endpoint_of(name: str, cohort: Cohort, folder: Path) -> Endpoint:
    """Return the endpoint of that name; raises ProtocolError for one that could not be computed after training."""
    task = cohort.task_record
    classes = cohort.classes if task.has_labels else ()
    regions = tuple(task.judged_structures(cohort))
    # Detection restricts its endpoints: a name such as "dice" would be found for its masks and mean another question.
    if task.endpoint_names and name not in task.endpoint_names:
        raise ProtocolError(f"the endpoint {name!r} is unknown in {task.name}; {nearest(name, task.endpoint_names)}")
    if is_own(name):
        try_out(name, folder, classes=len(classes), regions=regions, spatial_dims=cohort.spatial_dims)
    columns = metric_columns(regions) if regions else task.columns
    custom = {endpoint.name: endpoint for endpoint in task.endpoints}
    try:
        return endpoint_named(name, columns, classes, custom, folder=folder, regions=regions)
    except PredictionError as error:
        raise ProtocolError(f"the endpoint {name!r} is unknown: {error}") from error


def _check_ignored(protocol: Protocol, cohort: Cohort) -> None:
    """Refuse what would look at the neighbours of voxels that nobody labelled as if these were background."""
    if not cohort.ignores:
        return
    if protocol.preprocessing.get("smooth_labels"):
        raise ProtocolError(f"preprocessing.smooth_labels would blur unlabelled voxels of {cohort.name}; leave it out")
    if protocol.training.loss == "boundary":
        raise ProtocolError(
            f'training.loss = "boundary" puts edges at unlabelled voxels of {cohort.name}; choose "dice-cross-entropy"'
        )
    if protocol.training.dice.over == "case":
        raise ProtocolError(
            f"training.dice.over: labelled voxels of {cohort.name} are pooled over a batch, because some are not "
            'labelled; leave it "batch"'
        )


def _check_subgroups(names: Sequence[str], cohort: Cohort) -> None:
    """Refuse an attribute that no case has: the report would omit it silently."""
    known = dict.fromkeys(name for case in cohort.cases for name in case.attributes)
    for name in names:
        if name not in known:
            offered = nearest(name, known) if known else "its cases have no attributes"
            raise ProtocolError(f"endpoints.subgroups: no case of {cohort.name} has the attribute {name!r}; {offered}")


def refusals(trial: Trial, leaks: Sequence[Leak]) -> list[str]:
    """Return why the trial would not be valid, or cannot be run; empty where it can."""
    reasons, cohort = [], trial.cohort
    if cohort.problems:
        first, count = cohort.problems[0], plural(len(cohort.problems), "case")
        reasons.append(
            f"{count} of {cohort.name} cannot be used, first {first.case} ({first.file}): "
            f"{first.problem}; {first.remedy}, or set cohort.on_problem = 'exclude', if the source has this key"
        )
    if trial.protocol.split.allow_leaks:
        return reasons
    images = images_as_patients(trial)
    reasons += [f"{images}; {_true_patients(trial)}"] if images and not confirms_patients(trial) else []
    weights = _seen_by_weights(trial)
    reasons += [weights] if weights else []
    serious = [leak for leak in leaks if forbids(leak, cohort)]
    copies = [leak for leak in serious if leak.kind in IN_ONE_PART]
    crossing = [leak for leak in serious if leak not in copies]
    if crossing:
        first_leak = crossing[0]
        reasons.append(
            f"cases leak across parts, first {first_leak.a} and {first_leak.b} ({first_leak.in_words}) of "
            f"{plural(len(crossing), 'pair')}; `equipoise check` lists them: {_remedy(first_leak, trial)}, or set "
            "split.allow_leaks = true and the report says so"
        )
    if copies:
        named = ", ".join(f"{leak.a} and {leak.b}{_of_what(leak)}" for leak in copies[:_NAMED])
        reasons.append(
            f"images of different patients in one part are equal and would count as so many patients, first {named} of "
            f"{plural(len(copies), 'pair')}; `equipoise check` lists them: {_remedy(copies[0], trial)}, or set "
            "split.allow_leaks = true and the report says so"
        )
    return reasons


def confirms_patients(trial: Trial) -> bool:
    """Return whether the protocol states that names which look like images of fewer persons are patients."""
    return trial.protocol.split.patients == "confirmed"


def images_as_patients(trial: Trial, *, named: bool = True) -> str:
    """Say in words that patients' names look like images of fewer persons; empty where they do not, or are guesses.

    named: whether the words name two of them.
    """
    stems = None if trial.cohort.patients_guessed else regular_stems(trial.cohort.patients.tolist())
    if stems is None:
        return ""
    first, second = stems.example()
    such = f", such as {first!r} and {second!r}," if named else ""
    return (
        f"{len(stems.of)} patients of {trial.cohort.name}{such} have names that end as those of images of one person "
        f"do, in the whole column ({stems.kind} beside {len(set(stems.of.values()))} stems)"
    )


def _true_patients(trial: Trial) -> str:
    """Say how the protocol states the patients behind such names, or confirms them."""
    stems = deepest_stems(trial.cohort.patients.tolist())
    takes = "patient_pattern" in parameters_of(trial.protocol.cohort.source)
    one = stems.pattern() if stems is not None and takes else None
    remedy = "give the true patients" if one is None else f"state the patients with cohort.patient_pattern = '{one}'"
    # Of a pattern that stands there, the names that it makes are known, and not those it is searched in.
    if "patient_pattern" in (trial.protocol.cohort.model_extra or {}):
        remedy = "correct cohort.patient_pattern, so that its group is the person alone"
    return f'{remedy}, or set split.patients = "confirmed" if each is a patient, and the report says so'


def _seen_by_weights(trial: Trial) -> str | None:
    """Return why the initial weights of an arm make the trial invalid; None where they do not."""
    if not any(arm.pretrained for arm in trial.protocol.arms):
        return None
    return leaking_weights(trial.protocol, opened_cases(trial.cohort, trial.folds, trial.cards.all()))


def forbids(leak: Leak, cohort: Cohort) -> bool:
    """Return whether a leak makes a trial invalid; else it is a warning."""
    # Heads of different patients resemble each other, and where a source states its patients, likeness is no proof
    # against it. Equal pixels are.
    if leak.kind == "near copy":
        return False
    return leak.kind not in LIKENESS or not cohort.patients_known or cohort.patients_guessed


def _of_what(leak: Leak) -> str:
    return f" ({leak.shared})" if leak.shared else ""


def _remedy(leak: Leak, trial: Trial) -> str:
    if leak.kind in OF_PIXELS and trial.protocol.split.patients != "guessed" and not trial.cohort.patients_known:
        return 'set split.patients = "guessed", which keeps similar images in one part'
    if leak.kind in OF_PIXELS:
        pair = f'[["{leak.a}", "{leak.b}"]]'
        return f"correct the patient ids, or set split.not_leaks = {pair} for pairs that are not copies"
    return "correct the patient ids"


def search_leaks(trial: Trial) -> list[Leak]:
    """Return the leaks across parts and the copies in one, without the pairs of images that the protocol says are none.

    Raises ProtocolError for a pair that names no case of the cohort.
    """
    known = {case.id for case in trial.cohort.cases}
    pairs = trial.protocol.split.not_leaks
    unknown = next((name for pair in pairs for name in pair if name not in known), None)
    if unknown is not None:
        raise ProtocolError(
            f"split.not_leaks: {trial.cohort.name} has no case {unknown!r}; {nearest(unknown, known)[:200]}"
        )
    different = {frozenset(pair) for pair in pairs}
    leaks = find_leaks(trial.cohort, trial.folds, trial.cards)
    # Patients and studies that are shared by their names are no matter of likeness.
    return [leak for leak in leaks if leak.kind not in OF_PIXELS or frozenset((leak.a, leak.b)) not in different]


def honest_leaks(trial: Trial) -> list[Leak]:
    """Return the leaks across parts and the copies in one, all of which the protocol allows.

    Raises CohortError where the trial would not be valid, or cannot be run.
    """
    leaks = search_leaks(trial)
    if trial.cards.remark is not None:
        remark(f"the measurements of the images could not be cached ({trial.cards.remark})")
    for refusal in refusals(trial, leaks):
        raise CohortError(refusal)
    return leaks


def first_samples(trial: Trial) -> Samples:
    """Prepare a batch of training cases; two for volumes, which are enough to try an arm."""
    first = _first(trial.protocol, trial.cohort, trial.folds)
    return samples_of(trial.cohort, first, trial.pipeline, trial.protocol.training.targets)


def _first(protocol: Protocol, cohort: Cohort, folds: Sequence[Fold]) -> NDArray[np.int64]:
    return folds[0].train[: protocol.training.batch_size if cohort.spatial_dims == 2 else 2]
