"""Check a trial before training: cases, leaks, problems, and the detectable difference."""

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts import Case, Cohort
from equipoise.cohorts.case_cards import CaseCard, CaseCards
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.identities import sieve_of, user_key, with_pseudonyms
from equipoise.cohorts.read_once import release_images
from equipoise.cohorts.splits.leakage import IN_ONE_PART, Leak
from equipoise.cohorts.splits.split import Fold
from equipoise.configuration.design import FOLDS
from equipoise.engines import local
from equipoise.errors import CohortError
from equipoise.progress import Watch, silent, under_way
from equipoise.protocol import Protocol
from equipoise.report.pages.cohort_page import Inspection, render_inspection, summary
from equipoise.report.results.gradient_evaluations import unequal_evaluations
from equipoise.report.text.plans import folds_instead, plan_as_json, plan_sentences, prospect
from equipoise.report.text.reasons import sentence
from equipoise.report.text.words import cohort_title, plural
from equipoise.runfolder.job import Job
from equipoise.statistics.planning import Plan
from equipoise.training.loop.forecast import Forecast
from equipoise.trials.cautions import cautions, rare_classes
from equipoise.trials.earlier_looks import earlier_looks
from equipoise.trials.left_out import left_out, left_out_lines, resolving
from equipoise.trials.measure import detectable_of, forecasts_of
from equipoise.trials.names import leaks_named, new_names, shows_pseudonyms
from equipoise.trials.plan import forbids, plan, read, refusals, search_leaks, wide_margins
from equipoise.trials.training_length import short_training

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Checked:
    """The result of `equipoise check`; forecasts and detectable difference only where a trial could run.

    jobs: all trainings, draws of tuning included; effort: the same in trainings of full length. pseudonyms: whether
    page, JSON and text name cases by pseudonyms; JSON and text of a cohort that has to be corrected name them plainly.
    protocol_file: for commands in the text. trial: its name. by_pseudonyms: whether the fields hold pseudonyms already.
    given_parts: whether the source divides the patients. tested_seconds: what reading and testing took, as they will
    before a run.
    """

    cohort: Cohort
    cards: CaseCards
    folds: Sequence[Fold]
    cases: list[dict[str, Any]]
    leaks: list[Leak]
    refusals: list[str]
    detectable: Plan | None
    unplanned: str | None
    forecasts: list[Forecast]
    jobs: int
    threads: int
    effort: float = 0.0
    warnings: list[str] = field(default_factory=list)
    configured: dict[str, Any] = field(default_factory=dict)
    pseudonyms: bool = False
    protocol_file: str = ""
    by_pseudonyms: bool = False
    trial: str = ""
    given_parts: bool = False
    tested_seconds: float = 0.0

    @property
    def may_run(self) -> bool:
        """Whether a run would be valid: without a leak across parts, and without a problem that prevents it."""
        return not self.refusals

    @property
    def _leaks_refuse(self) -> bool:
        words = ("leak across parts", "would count as so many patients")
        return any(word in refusal for refusal in self.refusals for word in words)

    def prospect(self) -> str:
        """Say in one sentence whether a verdict can come of this trial."""
        return prospect(self.detectable, self.unplanned, self.refusals)

    def predicted(self) -> dict[str, float] | None:
        """Forecast the time of all jobs on this machine, and the memory of parallel jobs; None where none can run."""
        if not self.forecasts:
            return None
        shared = max(1, min(self.jobs, local.at_full_speed(self.threads)))
        seconds = sum(forecast.seconds for forecast in self.forecasts) / len(self.forecasts) * self.effort / shared
        memory = min(self.jobs, local.side_by_side(self.threads)) * max(
            forecast.memory_mb for forecast in self.forecasts
        )
        return {"seconds": round(seconds, 1), "memory_mb": round(memory, 1)}

    def sizes(self) -> dict[str, dict[str, int]]:
        """Count patients and cases of each part in the first fold."""
        if not self.folds:
            return {}
        patients = self.cohort.patients
        parts = {part: self.folds[0].part(part) for part in PARTS}
        return {
            part: {"patients": len(set(patients[indices])), "cases": len(indices), **self._classes(indices)}
            for part, indices in parts.items()
        }

    def _classes(self, indices: NDArray[np.int64]) -> dict[str, int]:
        return self.cohort.task_record.counts(self.cohort, indices)

    def as_json(self) -> dict[str, Any]:
        """Return the result as the public JSON."""
        if self.pseudonyms and self.may_run:
            return self._shown.as_json()
        configured = {"configured": self.configured} if self.configured else {}
        return configured | {
            "cases": self.cases,
            "leaks": [vars(leak) for leak in self.leaks],
            "left_out": [asdict(row) for row in left_out(self.cohort)],
            "problems": [asdict(problem) for problem in self.cohort.problems],
            "notes": list(self.cohort.notes),
            "remarks": [asdict(remark) for remark in self.cohort.remarks],
            "split": {"folds": len(self.folds), **self.sizes()},
            "detectable_difference": plan_as_json(self.detectable) if self.detectable else {"refused": self.unplanned},
            "predicted": self.predicted(),
            "warnings": self.warnings,
            "refusals": self.refusals,
            "prospect": self.prospect(),
        }

    def sentences(self) -> list[str]:
        """State the detectable difference and the cost of the trial."""
        planned = self.detectable
        lines = [*plan_sentences(planned), sentence(planned.assumptions)] if planned else [self.unplanned or ""]
        lines += self._folds_instead()
        predicted = self.predicted()
        if predicted:
            minutes, memory = predicted["seconds"] / 60, predicted["memory_mb"]
            duration = f"about {minutes:.1f} minutes" if minutes >= 1 else "under a minute"
            jobs = plural(self.jobs, "job")
            lines.append(
                f"predicted: {duration} on an idle machine, and {memory:.0f} MB, for {jobs}{self._tests_before()}"
            )
        return lines

    def _tests_before(self) -> str:
        """Return what a run does before it trains, and how long that took here; empty where it is under a minute."""
        minutes = self.tested_seconds / 60
        return (
            f"; before that, a run reads and tests as this check did in {minutes:.1f} minutes" if minutes >= 1 else ""
        )

    def _folds_instead(self) -> list[str]:
        if self.detectable is None or len(self.folds) != 1 or self.given_parts:
            return []
        fold, patients = self.folds[0], len(set(self.cohort.patients.tolist()))
        # Of five folds, each trains and validates on four fifths of the cases.
        cases = len(fold.train) + len(fold.validation)
        return folds_instead(self.detectable, patients, (FOLDS - 1) * len(self.cohort) / cases)

    def page(self) -> str:
        """Return the result as an HTML page with pictures."""
        if self.pseudonyms:
            return self._shown.page()
        contents = (
            self.cohort,
            self.cards,
            self.folds,
            self.cases,
            self.leaks,
            self.refusals,
            self.sentences(),
            self.warnings,
            self.prospect(),
            self.trial,
        )
        return render_inspection(Inspection(*contents))

    @cached_property
    def _shown(self) -> "Checked":
        """Return the result by the names that outputs give cases, patients and files."""
        key = user_key()
        cohort = with_pseudonyms(self.cohort, key)
        known = new_names(self.cohort, cohort)
        sieve = sieve_of(self.cohort, [(case.id, case.patient) for case in cohort.cases], key)
        rows = [_with_names(row, case) for row, case in zip(self.cases, cohort.cases, strict=True)]
        refusals, warnings = (list(map(sieve.text, texts)) for texts in (self.refusals, self.warnings))
        return replace(
            self, cohort=cohort, cards=self.cards.through(cohort), cases=rows, leaks=leaks_named(self.leaks, known),
            refusals=refusals, warnings=warnings, pseudonyms=False, by_pseudonyms=True,
        )  # fmt: skip

    def _resolving(self, names: Sequence[str], before: str = "") -> list[str]:
        """Return the line with the command that resolves these names, where they are pseudonyms."""
        return [f"{before}{resolving(self.protocol_file, names)}"] if names and self.by_pseudonyms else []

    def _repr_html_(self) -> str:
        """The text, for a notebook."""
        return f"<pre>{escape(self.text())}</pre>"

    def text(self) -> str:
        """Return the result as text for the terminal."""
        # As of the JSON: where the data are to be corrected first, every name is needed; the terminal is its user's.
        if self.pseudonyms and self.may_run:
            return self._shown.text()
        patients = plural(len(set(self.cohort.patients.tolist())), "patient")
        lines = [
            self.prospect(),
            f"{cohort_title(self.cohort.name, self.trial)}: {patients}, {plural(len(self.cohort), 'case')}",
        ]
        if len(self.folds) > 1:
            lines.append(f"  the parts of fold 1 of {len(self.folds)}; every fold tests other patients:")
        for part, counts in self.sizes().items():
            classes = ", ".join(f"{n} {name}" for name, n in list(counts.items())[2:])
            by_class = f" ({classes})" if classes else ""
            lines.append(
                f"  {part}: {plural(counts['patients'], 'patient')}, {plural(counts['cases'], 'case')}{by_class}"
            )
        lines += [f"  {line}" for line in summary(self.cohort, self.cases)]
        lines += [f"  {line}" for line in left_out_lines(self.cohort)]
        lines += self._resolving([row.case for row in left_out(self.cohort)], "  note: ")
        lines += [f"  note: {note}" for note in self.cohort.notes]
        lines += [f"leak: {leak.kind}: {leak.a} and {leak.b}{_shared(leak)}" for leak in self.leaks]
        lines += [leaks_in_words(self.leaks, self.cohort, refused=self._leaks_refuse)] if self.leaks else []
        lines += self._resolving([name for leak in self.leaks for name in (leak.a, leak.b)])
        lines += [f"problem: {p.case} ({p.file}): {p.problem}; {p.remedy}" for p in self.cohort.problems]
        lines += [f"remark: {remark}" for remark in self.cohort.remarks]
        lines += [f"{arm} is configured as {given}" for arm, given in self.configured.get("arms", {}).items()]
        lines += [f"warning: {warning}" for warning in self.warnings]
        lines += self._resolving(_quoted_cases(self.warnings, self.cohort))
        lines += self.sentences()
        return "\n".join([*lines, *(f"a run would be refused: {refusal}" for refusal in self.refusals)])


def check(protocol: Protocol | str | Path, *, watch: Watch = silent, looks_back: bool = True) -> Checked:
    """Read the cohort and try the arms; nothing is trained or written. Every unreadable case becomes a problem.

    looks_back: whether the test cases are looked up among those that were opened before; trials of a study know at
    their lock alone which openings are their siblings'.
    """
    with under_way(watch, "reading the source"):
        protocol, cohort = read(protocol)
    try:
        return _checked(protocol, cohort, watch, looks_back)
    except RefusedFile:
        # Only now: looking for unreadable cases first would read every image twice where all of them are sound.
        return _checked(protocol, _without_unreadable(cohort, watch), watch, looks_back)


def _checked(protocol: Protocol, cohort: Cohort, watch: Watch, looks_back: bool) -> Checked:
    """Check one cohort; raises RefusedFile for the first image that cannot be read."""
    began = time.monotonic()
    cards = CaseCards(cohort, watch)
    try:
        with under_way(watch, "planning the split"):
            trial = plan(protocol, cohort, "unused", cards)
    except CohortError as error:
        # A cohort that cannot be split is shown as well, because its problems are what the user needs to see.
        cases, threads = _rows(cohort, cards), protocol.training.threads
        hides = shows_pseudonyms(protocol.cohort)
        return Checked(
            cohort, cards, (), cases, [], [str(error)], None, "it cannot be split", [], 0, threads, pseudonyms=hides,
            protocol_file=protocol.file, trial=protocol.trial.name,
        )  # fmt: skip
    cases = _rows(cohort, trial.cards)
    with under_way(watch, "looking for leaks"):
        leaks = search_leaks(trial)
    with under_way(watch, "planning the test set"):
        detectable, unplanned = detectable_of(protocol, trial.cohort, trial.folds)
    everything = [job for job in (*trial.jobs, *trial.draws) if not job.members]
    twice = 2 if protocol.split.contrast == "case" else 1
    with local.Workers(protocol.training.threads) as workers:
        forecasts = forecasts_of(trial, workers, watch)
    # The first cases were kept in memory for the trial of the arms; the page needs none of them.
    release_images(trial.cohort)
    return Checked(
        cohort=trial.cohort,
        cards=trial.cards,
        folds=trial.folds,
        cases=cases,
        leaks=leaks,
        refusals=refusals(trial, leaks),
        detectable=detectable,
        unplanned=unplanned,
        forecasts=forecasts,
        jobs=twice * len(everything),
        effort=twice * sum(_effort(job, protocol) for job in everything),
        threads=trial.protocol.training.threads,
        configured=trial.configured,
        pseudonyms=shows_pseudonyms(protocol.cohort),
        protocol_file=protocol.file,
        trial=protocol.trial.name,
        given_parts=protocol.split.scheme == "given",
        tested_seconds=time.monotonic() - began,
        warnings=[
            *(earlier_looks(protocol, trial.cohort, trial.folds, trial.cards) if looks_back else ()),
            *cautions(trial, leaks, named=True),
            *(sentence(reason) for reason in unequal_evaluations(_evaluations(forecasts))),
            *(sentence(reason) for reason in (short_training(trial), *wide_margins(trial)) if reason is not None),
            *rare_classes(trial.cohort, cases),
            *_cache_remark(trial.cards),
        ],
    )


def _shared(leak: Leak) -> str:
    return f" share {leak.shared}" if leak.shared else ""


def _evaluations(forecasts: Sequence[Forecast]) -> dict[str, float]:
    return {one.arm: n for one in forecasts if (n := one.gradient_evaluations) is not None}


def leaks_in_words(leaks: Sequence[Leak], cohort: Cohort, *, refused: bool) -> str:
    """Say what follows from the leaks that were listed. refused: a run would be refused."""
    serious = sum(forbids(leak, cohort) for leak in leaks)
    if not serious:
        inside = sum(leak.kind in IN_ONE_PART for leak in leaks)
        counts = ((len(leaks) - inside, "in different parts"), (inside, "of different patients in the test part"))
        pairs = " and ".join(
            f"{plural(number, 'pair')} of images {where} {'is' if number == 1 else 'are'} alike"
            for number, where in counts if number
        )  # fmt: skip
        patients = ", but the source states different patients" if inside < len(leaks) else ""
        return (
            f"{pairs}{patients}: a run goes on, and its report names them; look at them, and correct the patients "
            "where they are wrong"
        )
    if refused:
        return f"{plural(serious, 'leak')}: a run would be refused"
    allowed = f"{plural(serious, 'leak')}, which split.allow_leaks allows"
    return f"{allowed}: a run goes on, and its report calls the results too optimistic"


def _quoted_cases(texts: Sequence[str], cohort: Cohort) -> list[str]:
    """Return the cases that sentences name, in quotes."""
    quoted = [name for text in texts for name in re.findall(r"'([^']*)'", text)]
    known = {case.id for case in cohort.cases} if quoted else set()
    return [name for name in quoted if name in known]


def _effort(job: Job, protocol: Protocol) -> float:
    """Return the share of a forecast that a job takes: a draw of tuning may have fewer epochs than was forecast."""
    return 1.0 if job.arm.nnunet is not None else job.training.epochs / protocol.training.epochs


def _without_unreadable(cohort: Cohort, watch: Watch = silent) -> Cohort:
    readable, problems = [], []
    for number, case in enumerate(cohort.cases):
        watch("looking for files that cannot be read", number + 1, len(cohort))
        try:
            case.read()
            readable.append(case)
        except RefusedFile as refusal:
            problems.append(refusal.problem(case.id))
    if not readable:
        first = problems[0]
        raise CohortError(f"no case of {cohort.name} can be read; first {first.file}: {first.problem}; {first.remedy}.")
    return replace(cohort, cases=tuple(readable), problems=(*cohort.problems, *problems))


def _cache_remark(cards: CaseCards) -> list[str]:
    return [] if cards.remark is None else [f"The measurements of the images could not be cached ({cards.remark})"]


def _rows(cohort: Cohort, cards: CaseCards) -> list[dict[str, Any]]:
    return [_described(case, card, cohort) for case, card in zip(cohort.cases, cards.all(), strict=True)]


def _with_names(row: dict[str, Any], case: Case) -> dict[str, Any]:
    """Return the row of a case by these names; its files are numbered, because their names may be a patient's."""
    hashes = {f"file {number}": digest for number, digest in enumerate(row["sha256"].values(), start=1)}
    return row | {"case": case.id, "patient": case.patient, "sha256": hashes}


def _described(case: Case, card: CaseCard, cohort: Cohort) -> dict[str, Any]:
    row: dict[str, Any] = {
        "case": case.id,
        "patient": case.patient,
        "shape": list(card.shape),
        "spacing_mm": list(card.spacing_mm),
    }
    if case.label is not None:
        row["label"] = cohort.classes[case.label]
    if card.label_voxels is not None:
        row["label_voxels"] = card.label_voxels
    row["intensity"] = dict(zip(cohort.channels, map(list, card.levels), strict=True))
    return row | {"sha256": dict(case.sha256)}
