"""Fit a protocol to a cohort and to the minutes there are: fingerprint, rules, measured costs, design, epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.cohorts import Cohort
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.sources import load
from equipoise.cohorts.splits.patient_groups import with_guessed_patients
from equipoise.cohorts.splits.patient_names import with_one_spelling
from equipoise.cohorts.splits.split import Fold, split
from equipoise.configuration.budget import ENOUGH_UPDATES, Fit, Offer, Rates, best, fitted
from equipoise.configuration.design import SEEDS, SHARES, Chance, Design, chance_of, designs
from equipoise.configuration.fingerprint import Fingerprint, fingerprint
from equipoise.configuration.recipe import Recipe, recipe
from equipoise.configuration.tables import tables_of, unmeasured_epochs
from equipoise.engines import local
from equipoise.engines.jobs import Engine
from equipoise.errors import CohortError, EquipoiseError
from equipoise.progress import Watch, silent
from equipoise.protocol import Protocol
from equipoise.report.text.configuration import Bought, more_time, time_sentence
from equipoise.report.text.plans import prospect
from equipoise.report.text.reasons import sentence
from equipoise.training.loop.forecast import Forecast
from equipoise.trials.measure import detectable_of, forecasts_in, forecasts_of
from equipoise.trials.plan import plan

WORTH = 0.9
"""Share of float32's time below which bfloat16 is chosen, as in `training.loop.arithmetic`."""
PRECISIONS = ("float32", "bfloat16")
WIDER_UPDATES = 2000
"""Updates with which a network of twice the width is trained better than one of half: measured, see the docs."""
TIMES = (2, 4)
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
    scheme = base.get("split", {}).get("scheme", "holdout")
    case = _Case(base, folder, cohort, cards, device or "cpu")
    data = _fingerprint(case, scheme)
    try:
        if not minutes:
            return _untimed(case, data, scheme)
        with local.Workers(1) as workers:
            case = replace(case, device=device_of(device, workers))
            return _timed(case, data, scheme, minutes, workers)
    except CohortError as error:
        return plainest(data, case.device, scheme, str(error))


def plainest(data: Fingerprint, device: str, scheme: str, reason: str) -> Fitted:
    """Return what the rules say of images alone, where no trial is possible yet; the reason is told first."""
    rules = recipe(data, device)
    tables = tables_of(rules, Design(scheme, SHARES[0], 1, SEEDS[0], len(rules.arms)), UNFITTED_EPOCHS)
    return Fitted(tables, (prospect(None, None, [reason]),), data)


def _untimed(case: _Case, data: Fingerprint, scheme: str) -> Fitted:
    """Return a design with the fewest seeds, and about as many updates as a network needs: nobody stated a time."""
    rules = recipe(data, case.device)
    chosen = best(Fit(offer, 1, ENOUGH_UPDATES, 0.0) for offer in _offers(case, rules, scheme, SEEDS[:1]))
    return _outcome(case, rules, replace(chosen, epochs=unmeasured_epochs(rules, chosen.offer.train)), "float32", ())


def device_of(device: str, workers: Engine) -> str:
    """Return "cpu" or "cuda": the one that was asked for, else the one that jobs would use here."""
    ((_, kind),) = workers.run("equipoise.training.loop.determinism:device_kind", [None], lambda: None)
    if isinstance(kind, local.Failure):
        raise EquipoiseError(f"torch cannot be started ({kind}); mend its installation")
    if device == "cuda" and kind != "cuda":
        raise EquipoiseError(
            "--device cuda: torch sees no CUDA device here; leave --device out to plan for the processor"
        )
    if device == "cpu" and kind == "cuda":
        raise EquipoiseError(
            "--device cpu: jobs use the CUDA device wherever torch sees one; hide it from init and from the run with "
            "CUDA_VISIBLE_DEVICES="
        )
    return str(kind)


def _read(base: Mapping[str, Any], folder: Path, watch: Watch) -> tuple[Cohort, CaseCards]:
    """Return the cohort with its patients as the trial will have them, and the cards of its cases, all made."""
    first = Protocol.model_validate({**base, "arms": [{"name": "unet", "model": "unet"}]}, context={"folder": folder})
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


def _offers(case: _Case, rules: Recipe, scheme: str, seeds: Sequence[int] = SEEDS) -> list[Offer]:
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


def _timed(case: _Case, data: Fingerprint, scheme: str, minutes: float, workers: Engine) -> Fitted:
    """Measure the arms, and fit the trial into the minutes; a wider network where there is time for one."""
    rules = recipe(data, case.device)
    offers = _offers(case, rules, scheme)
    rates, precision = _measured(case, rules, offers[0].design, workers)
    chosen = _best(case, rules, offers, rates, minutes)
    while chosen.updates >= 4 * WIDER_UPDATES or (chosen.enough and chosen.updates >= 2.5 * WIDER_UPDATES):
        wider = recipe(data, case.device, base=2 * rules.base)
        if wider.arms == rules.arms or wider.base > 64:
            break
        others, its = _measured(case, wider, offers[0].design, workers)
        fits = _best(case, wider, offers, others, minutes)
        if fits.updates < WIDER_UPDATES or fits.offer.chance.verdict < chosen.offer.chance.verdict:
            break
        rules, rates, precision, chosen = wider, others, its, fits
    bought = [Bought(minutes * more, _best(case, rules, offers, rates, minutes * more)) for more in TIMES]
    time_words = (time_sentence(chosen, minutes, _side_by_side(case)), *more_time(chosen, bought))
    return _outcome(case, rules, chosen, precision, time_words)


def _side_by_side(case: _Case) -> int:
    """Return how many jobs run at once; on a graphics card they share it, so that one counts."""
    return 1 if case.device == "cuda" else local.available_cores()


def _best(case: _Case, rules: Recipe, offers: Sequence[Offer], rates: Sequence[Rates], minutes: float) -> Fit:
    batch, per_case = rules.training["batch_size"], rules.training.get("patches_per_case", 1)
    return best(
        fitted(offer, rates, minutes, batch=batch, per_case=per_case, side_by_side=_side_by_side(case))
        for offer in offers
    )


def _measured(case: _Case, rules: Recipe, design: Design, workers: Engine) -> tuple[list[Rates], str]:
    """Return the costs of all arms, in the faster precision, and its name."""
    everyone = replace(design, arms=len(rules.arms), seeds=3)
    tables = tables_of(rules, everyone, 2)
    # The patients are known by now: guessing them again would compare all images once more.
    tables["split"]["patients"] = "stated"
    trial = plan(case.protocol(tables), case.cohort, "unused", case.cards)
    plain = forecasts_of(trial, workers)
    other = forecasts_in(trial, PRECISIONS[1], workers)
    if other is not None and sum(map(_per_patch, other)) < WORTH * sum(map(_per_patch, plain)):
        return [_rates(one) for one in other], PRECISIONS[1]
    return [_rates(one) for one in plain], PRECISIONS[0]


def _per_patch(forecast: Forecast) -> float:
    return forecast.patch_seconds


def _rates(forecast: Forecast) -> Rates:
    return Rates(forecast.arm, forecast.patch_seconds, forecast.preparing_seconds, forecast.answer_seconds)


def _outcome(case: _Case, rules: Recipe, chosen: Fit, precision: str, time_words: Sequence[str]) -> Fitted:
    """Return the tables, and the sentences with the prospect of a verdict first."""
    tables = tables_of(rules, chosen.offer.design, chosen.epochs, precision)
    protocol = case.protocol(tables)
    folds = split(case.cohort, **protocol.split.model_dump(include={"scheme", "fractions", "folds"}))
    refusals = [f"{len(case.cohort.problems)} cases have problems"] if case.cohort.problems else []
    first = prospect(*detectable_of(protocol, case.cohort, folds), refusals)
    return Fitted(tables, (first, *time_words), rules.data)
