"""Fit a protocol to a cohort and to the minutes there are: fingerprint, rules, measured costs, design, epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.cohorts import Cohort
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.layouts.patients import leading_pattern
from equipoise.cohorts.sources import load, parameters_of
from equipoise.cohorts.splits.leakage import IN_ONE_PART, Leak, find_leaks
from equipoise.cohorts.splits.patient_groups import with_guessed_patients
from equipoise.cohorts.splits.patient_names import with_one_spelling
from equipoise.cohorts.splits.split import Fold, split
from equipoise.configuration.budget import ENOUGH_UPDATES, Fit, Offer, Rates, best, fitted, of_folds
from equipoise.configuration.design import SEEDS, SHARES, Chance, Design, chance_of, designs
from equipoise.configuration.fingerprint import Fingerprint, fingerprint
from equipoise.configuration.recipe import Recipe, recipe
from equipoise.configuration.tables import tables_of, unmeasured_epochs
from equipoise.engines import local
from equipoise.engines.jobs import Engine
from equipoise.errors import CohortError, EquipoiseError, ProtocolError
from equipoise.progress import Watch, silent
from equipoise.protocol import Protocol
from equipoise.protocol.toml import validated
from equipoise.report.text.configuration import (
    Bought,
    folds_sentence,
    more_time,
    parts_are_shared,
    patients_are_guessed,
    time_sentence,
)
from equipoise.report.text.plans import LIKELY, prospect
from equipoise.report.text.reasons import sentence
from equipoise.report.text.words import plural
from equipoise.training.loop.forecast import Forecast
from equipoise.trials.cautions import equal_patients, prevailing_patient
from equipoise.trials.earlier_looks import earlier_looks
from equipoise.trials.mask_shares import mask_doubts
from equipoise.trials.measure import detectable_of, forecasts_in, forecasts_of
from equipoise.trials.plan import forbids, plan

WORTH = 0.9
"""Share of float32's time below which bfloat16 is chosen, as in `training.loop.arithmetic`."""
PRECISIONS = ("float32", "bfloat16")
WIDER_UPDATES = 2000
"""Updates with which a network of twice the width is trained better than one of half: measured, see the docs."""
TIMES = (2, 4)
WIDEST_BASE = 64
UNFITTED_EPOCHS = 12
"""Where no trial is possible yet."""


@dataclass(frozen=True)
class Fitted:
    """A fitted plan: the tables of the protocol, and what to tell the user, the prospect of a verdict first.

    data: the fingerprint, with which comments are written.
    """

    tables: dict[str, Any]
    sentences: tuple[str, ...]
    data: Fingerprint


@dataclass(frozen=True)
class _Case:
    """What all steps share: the tables that the user's data decide, the cohort with its cards, the device."""

    base: Mapping[str, Any]
    folder: Path
    cohort: Cohort
    cards: CaseCards
    device: str

    def protocol(self, tables: Mapping[str, Any]) -> Protocol:
        """Return a protocol of the data's tables and these."""
        merged = {**self.base, **{key: value for key, value in tables.items() if key != "split"}}
        merged["split"] = {**self.base.get("split", {}), **tables["split"]}
        made = Protocol.model_validate(merged, context={"folder": self.folder})
        made._folder = self.folder.resolve()
        return made


def fit(
    base: Mapping[str, Any], folder: Path, *, minutes: float | None = None, device: str = "", watch: Watch = silent
) -> Fitted:
    """Read the cohort and configure its trial.

    base: the tables [trial], [cohort], [split] (scheme, patients) and [endpoints] of the protocol. folder: of the
    protocol. minutes: for the whole trial; None measures nothing. device: "cpu", "cuda", or "" for what there is.
    Raises EquipoiseError where the cohort cannot be read, or an arm cannot train.
    """
    cohort, cards = _read(base, folder, watch)
    case = _Case(base, folder, cohort, cards, device or "cpu")
    scheme = base.get("split", {}).get("scheme", "holdout")
    shared = _shared_by_parts(case) if scheme == "given" else 0
    scheme = "holdout" if shared else scheme
    data = _fingerprint(case, scheme)
    try:
        # Before workers are started: a cohort that cannot be split needs none.
        offers = _offers(case, recipe(data, case.device), scheme, SEEDS if minutes else SEEDS[:1])
        made = _timed(case, data, offers, minutes, device) if minutes else _untimed(case, data, offers)
    except CohortError as error:
        made = plainest(data, case.device, scheme, str(error))
        shared = 0
    own_parts = [parts_are_shared(shared)] if shared else []
    doubts = mask_doubts(cohort, cards.all(), named=False)
    return replace(made, sentences=(*made.sentences, *own_parts, *_of_patients(case), *doubts))


def _of_patients(case: _Case) -> list[str]:
    """Return the sentence on guessed patients, with a pattern of the names where the source takes one."""
    if not case.cohort.patients_guessed or case.base.get("split", {}).get("patients") != "guessed":
        return []
    takes_pattern = "patient_pattern" in parameters_of(str(case.base["cohort"]["source"]))
    pattern = leading_pattern([one.id for one in case.cohort.cases]) if takes_pattern else None
    return [patients_are_guessed(len(case.cohort), len(set(case.cohort.patients.tolist())), pattern)]


def _shared_by_parts(case: _Case) -> int:
    """Return how many pairs of cases the source's own parts share, with which a run would be refused."""
    try:
        return len(_across(_serious(case, split(case.cohort, scheme="given"))))
    except CohortError:
        return 0


def _serious(case: _Case, folds: Sequence[Fold]) -> list[Leak]:
    return [leak for leak in find_leaks(case.cohort, folds, case.cards) if forbids(leak, case.cohort)]


def _across(leaks: Sequence[Leak]) -> list[Leak]:
    """Return the leaks that another split would not have: copies in one part stay copies in every split."""
    return [leak for leak in leaks if leak.kind not in IN_ONE_PART]


def plainest(data: Fingerprint, device: str, scheme: str, reason: str) -> Fitted:
    """Return what the rules say of images alone, where no trial is possible yet; the reason is told first."""
    rules = recipe(data, device)
    tables = tables_of(rules, Design(scheme, SHARES[0], 1, SEEDS[0], len(rules.arms)), UNFITTED_EPOCHS)
    return Fitted(tables, (prospect(None, None, [reason]),), data)


def _untimed(case: _Case, data: Fingerprint, offers: Sequence[Offer]) -> Fitted:
    """Return a design with the fewest seeds, and about as many updates as a network needs: nobody stated a time."""
    rules = recipe(data, case.device)
    chosen = best(Fit(offer, 1, 0, 0.0, 0) for offer in offers)
    return _outcome(case, rules, replace(chosen, epochs=unmeasured_epochs(rules, chosen.offer.train)), "float32", ())


def device_of(device: str, workers: Engine) -> str:
    """Return "cpu" or "cuda": the one that was asked for, else the one that jobs would use here."""
    ((_, kind),) = workers.run("equipoise.training.loop.determinism:device_kind", [None], lambda: None)
    if isinstance(kind, local.Failure):
        raise EquipoiseError(f"torch cannot be started ({kind}); repair its installation")
    if device == "cuda" and kind != "cuda":
        raise EquipoiseError("--device cuda: torch sees no CUDA device here; leave --device out to plan for the CPU")
    if device == "cpu" and kind == "cuda":
        raise EquipoiseError(
            "--device cpu: jobs use the CUDA device wherever torch sees one; hide it from init and from the run with "
            "CUDA_VISIBLE_DEVICES="
        )
    return str(kind)


def _read(base: Mapping[str, Any], folder: Path, watch: Watch) -> tuple[Cohort, CaseCards]:
    """Return the cohort with its patients as the trial will have them, and the cards of its cases, all made."""
    arms = [{"name": "unet", "model": "unet"}]
    first = validated(Protocol, {**base, "arms": arms}, "the new protocol", folder)
    first._folder = folder.resolve()
    cohort = with_one_spelling(load(first.cohort, first.cohort_path, first.folder))
    cards = CaseCards(cohort, watch)
    cards.all()
    if first.split.patients == "guessed":
        cohort = with_guessed_patients(cohort, cards)
        cards = cards.through(cohort)
    return cohort, cards


def _fingerprint(case: _Case, scheme: str) -> Fingerprint:
    """Return the fingerprint; intensities and masks of the test part of the plainest design are left out."""
    try:
        folds = split(case.cohort, scheme=scheme)
    except CohortError:
        return fingerprint(case.cohort, case.cards.all())
    return fingerprint(case.cohort, case.cards.all(), np.setdiff1d(np.arange(len(case.cohort)), folds[0].test))


def _offers(case: _Case, rules: Recipe, scheme: str, seeds: Sequence[int]) -> list[Offer]:
    """Return every design that the cohort allows; raises CohortError, of the plainest, where it allows none."""
    offers, refusals = [], list[CohortError]()
    parts: dict[tuple[Any, ...], tuple[Fold, ...]] = {}
    for design in designs(scheme, rules.data.patients, len(rules.arms), seeds):
        key = (design.scheme, design.fractions, design.folds)
        try:
            if key not in parts:
                parts[key] = split(
                    case.cohort, scheme=design.scheme, fractions=design.fractions, folds=max(2, design.folds)
                )
        except CohortError as error:
            refusals.append(error)
            continue
        offers.append(_offer(case, rules, design, parts[key]))
    if not offers:
        raise refusals[0]
    return offers


def _offer(case: _Case, rules: Recipe, design: Design, folds: Sequence[Fold]) -> Offer:
    planned, unplanned = detectable_of(case.protocol(tables_of(rules, design, 1)), case.cohort, folds)
    test = np.unique(np.concatenate([fold.test for fold in folds]))
    patients = len(set(case.cohort.patients[test].tolist()))
    if planned is None:
        # What cannot be planned may still end in a verdict; then the most patients and training cases count.
        chance = Chance() if case.cohort.task_record.unplannable else Chance(refusal=unplanned or "")
    else:
        chance = chance_of(planned, [sentence(reason) for reason in planned.warnings])
    sizes = (len(folds[0].train), len(folds[0].validation), len(folds[0].test))
    return Offer(design, *sizes, patients, chance)


def _timed(case: _Case, data: Fingerprint, offers: Sequence[Offer], minutes: float, device: str) -> Fitted:
    """Measure the arms, and fit the trial into the minutes; a wider network where there is time for one."""
    with local.Workers(1) as workers:
        case = replace(case, device=device_of(device, workers))
        made = _measured(case, data, None, offers, workers)
        chosen = made.best(minutes)
        while chosen.updates >= 2.5 * WIDER_UPDATES and made.rules.base < WIDEST_BASE:
            wider = _measured(case, data, 2 * made.rules.base, offers, workers)
            fits = wider.best(minutes)
            if fits.updates < WIDER_UPDATES or fits.offer.chance.verdict < chosen.offer.chance.verdict:
                break
            made, chosen = wider, fits
    bought = [Bought(minutes * more, made.best(minutes * more)) for more in TIMES]
    of_folds = [] if any(one.fit.offer.design.folds > 1 for one in bought) else made.of_folds(chosen)
    time_words = (time_sentence(chosen, minutes, made.side_by_side), *more_time(chosen, bought), *of_folds)
    return _outcome(case, made.rules, chosen, made.precision, time_words)


@dataclass(frozen=True)
class _Measured:
    """A recipe with the costs of its arms in the faster precision, and how many jobs run at once."""

    rules: Recipe
    offers: Sequence[Offer]
    rates: list[Rates]
    precision: str
    side_by_side: int

    def best(self, minutes: float) -> Fit:
        """Return the fit to propose for these minutes."""
        batch, per_case = self.rules.training["batch_size"], self.rules.training.get("patches_per_case", 1)
        known = {"batch": batch, "per_case": per_case, "side_by_side": self.side_by_side}
        fewest = ENOUGH_UPDATES[self.rules.data.masks]
        return best(fitted(offer, self.rates, minutes, **known, fewest=fewest) for offer in self.offers)

    def of_folds(self, chosen: Fit) -> list[str]:
        """Return a sentence on the time of cross-validation, where it would help."""
        batch, per_case = self.rules.training["batch_size"], self.rules.training.get("patches_per_case", 1)
        known = {"batch": batch, "per_case": per_case, "side_by_side": self.side_by_side}
        return folds_sentence(chosen, of_folds(chosen, self.offers, self.rates, **known), LIKELY)


def _measured(case: _Case, data: Fingerprint, base: int | None, offers: Sequence[Offer], workers: Engine) -> _Measured:
    """Measure all arms of the recipe in both precisions; base: another width than the usual one."""
    rules = recipe(data, case.device, base=base)
    tables = tables_of(rules, replace(offers[0].design, arms=len(rules.arms), seeds=SEEDS[0]), 2)
    # The patients are known by now: guessing them again would compare all images once more.
    tables["split"]["patients"] = "stated"
    trial = plan(case.protocol(tables), case.cohort, "unused", case.cards)
    try:
        forecasts, precision = forecasts_of(trial, workers), PRECISIONS[0]
    except ProtocolError as error:
        # Not a protocol without times: the data are sound, and what failed is this machine or the rules.
        raise EquipoiseError(
            f"the arms could not be timed ({error}); give the machine more memory, or skip the timing with --minutes 0"
        ) from error
    other = forecasts_in(trial, PRECISIONS[1], workers)
    if other is not None and sum(map(_per_patch, other)) < WORTH * sum(map(_per_patch, forecasts)):
        forecasts, precision = other, PRECISIONS[1]
    side_by_side = local.at_full_speed(1)
    return _Measured(rules, offers, [_rates(one) for one in forecasts], precision, side_by_side)


def _per_patch(forecast: Forecast) -> float:
    return forecast.patch_seconds


def _rates(forecast: Forecast) -> Rates:
    return Rates(forecast.arm, forecast.patch_seconds, forecast.preparing_seconds, forecast.answer_seconds)


def _outcome(case: _Case, rules: Recipe, chosen: Fit, precision: str, time_words: Sequence[str]) -> Fitted:
    """Return the tables, and the sentences with the prospect of a verdict first."""
    tables = tables_of(rules, chosen.offer.design, chosen.epochs, precision)
    protocol = case.protocol(tables)
    folds = split(case.cohort, **protocol.split.model_dump(include={"scheme", "fractions", "folds"}))
    # Without names: the sentences stand in the protocol, of which a run folder keeps a copy.
    troubled = plural(len(case.cohort.problems), "case")
    refusals = [f"{troubled} cannot be used, which `equipoise check` lists"] if case.cohort.problems else []
    # Guessed patients are groups of alike images, which no split divides.
    leaks = [] if case.cohort.patients_guessed else _serious(case, folds)
    crossing = len(_across(leaks))
    counts = {
        "cases leak across parts": crossing,
        "equal images are in one part under different patients": len(leaks) - crossing,
    }
    for what, number in counts.items():
        refusals += [f"{what} ({plural(number, 'pair')}, which `equipoise check` lists)"] if number else []
    first = prospect(*detectable_of(protocol, case.cohort, folds), refusals)
    more = [*prevailing_patient(case.cohort), *equal_patients(case.cohort, case.cards, leaks)]
    more += earlier_looks(protocol, case.cohort, folds, case.cards)
    return Fitted(tables, (first, *time_words, *more), rules.data)
