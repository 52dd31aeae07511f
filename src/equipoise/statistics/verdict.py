"""The verdict on two arms: refusals, the verdict itself, and the reason with its numbers."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.statistics.always_valid import FEWEST
from equipoise.statistics.analysis import FEW_EVENTS, FEWEST_EVENTS, Analysis
from equipoise.statistics.comparison import Contrast
from equipoise.statistics.decisive import Decisive
from equipoise.statistics.endpoints import negatives_needed
from equipoise.statistics.judgement import Unseen, Verdict
from equipoise.statistics.kinds import Kind
from equipoise.statistics.reasons import Reason
from equipoise.statistics.unequal_patients import contributors, unequal
from equipoise.statistics.unseen_failures import guarded, reason_of, unseen_failures

FEWEST_SEEDS = 3
FEWEST_DECIDING = 7
"""Patients on whom the difference of a metric without a formula must rest: of smooth ones it rests on more (99 % of
trials with 60 patients), of a metric that one extreme case decides on 1 to 4."""
FEWEST_FAILURES = 5  # so few failures decide the mean, and their own number is mostly chance


@dataclass(frozen=True)
class Question:
    """The question about every pair: `margin` is the smallest difference that matters.

    `alpha` is the level of this look, `level` the confidence of intervals (1 - alpha of the whole trial). `turned`: why
    the classes of the scores may be exchanged. `networks`: the question is about these trained networks and not about
    methods, so that patients alone are sampled. `growing`: patients are added between looks, which are valid at any
    number of them; the number at which they shall be sharpest. `gated`: secondary endpoints have margins of their own,
    whose claims are read behind those of the primary endpoint.
    """

    margin: float | None
    alpha: float
    level: float
    role: str
    deterministic: frozenset[str]
    patients_known: bool
    shared_seeds: bool
    turned: Reason | None = None
    networks: bool = False
    growing: int | None = None
    gated: bool = False


@dataclass(frozen=True)
class Evidence:
    """A pair's numbers; `p_new_data` is NaN outside cross-validation, `decisive` the interval of the verdict."""

    contrast: Contrast
    p_adjusted: float
    p_equivalence: float
    p_new_data: float
    interval: tuple[float, float]
    equivalence: tuple[float, float]
    decisive: Decisive | None = None

    def shown(self, level: float) -> Decisive:
        """Return the interval that belongs to the verdict: the pair's own at `level` before the family is adjusted."""
        return self.decisive or Decisive(*self.interval, level)


def obstacle(analysis: Analysis, a: str, b: str, question: Question) -> tuple[Verdict, Reason] | None:
    """Return the reason why no verdict on the two methods may be given, or None."""
    for arm in (a, b):
        if arm in analysis.refused:
            return "refused", analysis.refused[arm]
    if question.turned is not None and analysis.endpoint.needs == "scores":
        return "refused", question.turned
    reason = _data_obstacle(analysis, a, b, question) or _segmentation_obstacle(analysis, a, b, question)
    return ("refused", reason) if reason else _seed_obstacle(analysis, a, b, question)


def flags(analysis: Analysis) -> tuple[Reason, ...]:
    """Return cautions about the data of a verdict that is allowed."""
    events = analysis.events
    if events is None or not FEWEST_EVENTS <= events < FEW_EVENTS:
        return ()
    return (Reason("only_large_differences", events=events, unequal=unequal(analysis.arms.pieces)),)


def decide(evidence: Evidence, question: Question) -> Verdict:
    """Return the verdict on a pair without obstacle, for an endpoint where higher is better."""
    # Equivalence comes first: a significant difference that is certainly below the margin does not matter.
    if question.margin is not None and evidence.p_equivalence < question.alpha:
        return "equivalent"
    # Written with `not`, so that NaN (no cross-validation) counts as no objection.
    new_data = not evidence.p_new_data >= question.alpha
    if evidence.p_adjusted < question.alpha and new_data:
        return "a_better" if evidence.contrast.difference > 0 else "b_better"
    return "not_enough_data"


def decide_guarded(
    evidence: Evidence, question: Question, sign: int, unseen: Unseen | None
) -> tuple[Verdict, Verdict | None]:
    """Return the verdict, and that of the tests alone where failures that nobody saw may undo it (else None)."""
    tested = turned(decide(evidence, question), sign)
    verdict = guarded(tested, unseen, question.margin)
    if tested == "equivalent" and verdict != tested:
        # Then the difference may matter, and an arm that is certainly better is still the better one.
        verdict = guarded(turned(decide(evidence, replace(question, margin=None)), sign), unseen, None)
    return verdict, None if verdict in (tested, "a_better", "b_better") else tested


def turned(verdict: Verdict, sign: int) -> Verdict:
    """Return the verdict for an endpoint with this sign (-1: lower is better)."""
    if sign > 0 or verdict not in ("a_better", "b_better"):
        return verdict
    return "b_better" if verdict == "a_better" else "a_better"


def _data_obstacle(analysis: Analysis, a: str, b: str, question: Question) -> Reason | None:
    arms = analysis.arms
    if not question.patients_known:
        return Reason("unknown_patients")
    if analysis.events is not None and analysis.events < FEWEST_EVENTS:
        return Reason("few_events", events=analysis.events, fewest=FEWEST_EVENTS)
    beyond = _few_beyond(analysis)
    if beyond is not None:
        return beyond
    if arms.n_patients < FEWEST_EVENTS:
        return Reason("few_patients", patients=arms.n_patients, fewest=FEWEST_EVENTS)
    if question.growing is not None and arms.n_patients < FEWEST:
        return Reason("few_patients_yet", patients=arms.n_patients, fewest=FEWEST)
    first, second = arms.index(a), arms.index(b)
    few = _few_decide(analysis, first, second)
    if few is not None:
        return few
    # Two perfect arms have no variance, so every test would call them equal with certainty; the cases are too easy.
    best = analysis.endpoint.best
    if arms.mean[first] == arms.mean[second] == best:
        return Reason("both_perfect", endpoint=analysis.endpoint.label, best=best)
    return None


def _few_beyond(analysis: Analysis) -> Reason | None:
    """Return why a threshold at a specificity is chance: few negative patients beyond it, in some fold; else None."""
    needed = negatives_needed(analysis.endpoint)
    if needed is None or analysis.positive is None:
        return None
    folds = analysis.panel.folds
    negatives = min(len(np.unique(fold.patient[fold.truth != analysis.positive])) for fold in folds)
    if negatives >= needed:
        return None
    label = analysis.endpoint.label
    return Reason("few_beyond", endpoint=label, negatives=negatives, fewest=needed, folds=len(folds))


def _few_decide(analysis: Analysis, first: int, second: int) -> Reason | None:
    """Return why no variance of a user's metric of all cases is known: very few patients decide its difference."""
    arms = analysis.arms
    if analysis.endpoint.kind is not Kind.POOLED:
        return None
    weights = np.zeros(len(arms.names))
    weights[first], weights[second] = 1.0, -1.0
    patients = contributors(arms.pieces, weights)
    if patients >= FEWEST_DECIDING:
        return None
    return Reason("few_decide", endpoint=analysis.endpoint.label, patients=patients, fewest=FEWEST_DECIDING)


def _segmentation_obstacle(analysis: Analysis, a: str, b: str, question: Question) -> Reason | None:
    """Return why the mean of a metric with failures is descriptive only: few cases, or few failures; else None.

    Few failures are no obstacle to a difference that no rate of failures, which the data allow, would undo.
    """
    endpoint, panel = analysis.endpoint, analysis.panel
    if not endpoint.fewest_cases or not endpoint.kind.typical_case:
        return None
    if panel.n_cases < endpoint.fewest_cases:
        return Reason("few_cases", cases=panel.n_cases, fewest=endpoint.fewest_cases, metric=endpoint.display)
    worst = endpoint.fails_below
    if worst is None:
        return None
    for arm in (a, b):
        columns = panel.columns(arm)
        failures = sum(int((endpoint.case_values(fold)[columns] < worst).sum()) for fold in panel.folds)
        tested = sum(len(fold.case) for fold in panel.folds) * len(columns)
        # Per run and not summed over runs: the same difficult cases fail in every run and are no independent failures.
        per_run = failures / tested * panel.n_cases
        if 0 < per_run < FEWEST_FAILURES and not _beyond_failures(analysis, a, b, question):
            return Reason(
                "few_failures", arm=arm, metric=endpoint.display, below=worst, failures=per_run, cases=panel.n_cases
            )
    return None


def _beyond_failures(analysis: Analysis, a: str, b: str, question: Question) -> bool:
    """Return whether two means differ by more than failures could change: those of one arm more, of the other less."""
    difference = float(analysis.arms.mean[analysis.arms.index(a)] - analysis.arms.mean[analysis.arms.index(b)])
    unseen = unseen_failures(analysis, a, b, difference, question.deterministic)
    return unseen is not None and not unseen.reverses


def _seed_obstacle(analysis: Analysis, a: str, b: str, question: Question) -> tuple[Verdict, Reason] | None:
    if question.networks:
        return None
    arms = analysis.arms
    trained = [arm for arm in (a, b) if arm not in question.deterministic]
    seeds = {arm: int(arms.seeds[arms.index(arm)]) for arm in trained}
    fewest = min(trained, key=lambda arm: seeds[arm], default="")
    copied = next((arm for arm in trained if arm in analysis.panel.repeated and seeds[arm] < FEWEST_SEEDS), None)
    if copied is not None:
        groups = analysis.panel.repeated[copied]
        given = sum(map(len, groups))
        return "refused", Reason("copied_runs", arm=copied, given=given, distinct=len(groups), fewest=FEWEST_SEEDS)
    if fewest and seeds[fewest] == 1:
        return "single_run", Reason("one_seed", arm=fewest, fewest=FEWEST_SEEDS)
    if fewest and seeds[fewest] < FEWEST_SEEDS:
        return "refused", Reason("few_seeds", arm=fewest, seeds=seeds[fewest], fewest=FEWEST_SEEDS)
    return None


def single_run_reason(
    analysis: Analysis,
    a: str,
    b: str,
    evidence: Evidence,
    why: Reason,
    question: Question,
    unseen: Unseen | None = None,
    family: int = 1,
) -> Reason:
    """Return the reason for two trained networks, whose methods have no verdict."""
    first, second = _better(analysis, a, b, evidence)
    difference = _difference(analysis, first, second, evidence, question.level, family)
    clear = evidence.p_adjusted < question.alpha and not (unseen and unseen.reverses)
    return Reason("trained_networks", stands_out=clear, first=first, difference=difference, why=why)


def verdict_reason(
    analysis: Analysis,
    a: str,
    b: str,
    evidence: Evidence,
    verdict: Verdict,
    question: Question,
    family: int,
    unseen: Unseen | None = None,
) -> Reason:
    """Return the reason with the numbers of the verdict; `unseen`: the failures that the data do not exclude."""
    name, better = analysis.endpoint.label, _better(analysis, a, b, evidence)
    test = {"endpoint": name, "p": evidence.p_adjusted, "family": family}
    if verdict in ("a_better", "b_better"):
        winner, loser = better
        difference = _difference(analysis, winner, loser, evidence, question.level, family)
        secondary = question.role != "primary" and question.margin is None
        numbers = test | {"winner": winner, "loser": loser, "difference": difference, "secondary": secondary}
        numbers |= {"margin": question.margin, "exceeds": _exceeds(evidence, question)}
        return Reason("better", **numbers, **_unseen(unseen, analysis))
    if verdict == "equivalent":
        return Reason(
            "equivalent",
            a=a,
            b=b,
            endpoint=name,
            level=2 * question.level - 1 if evidence.decisive is None else evidence.decisive.level,
            interval=evidence.equivalence if evidence.decisive is None else evidence.decisive[:2],
            margin=question.margin or 0.0,
            smaller=better[0] if evidence.p_adjusted < question.alpha else None,
        )
    numbers = test | {"a": a, "b": b, "difference": _difference(analysis, a, b, evidence, question.level, family)}
    # What the tests alone would have said: then failures that nobody saw are the reason.
    tested = decide(evidence, question)
    margin = question.margin if tested == "equivalent" else None
    if tested == verdict:
        return Reason("undecided", **numbers)
    leading = better[0] if evidence.p_adjusted < question.alpha else None
    return Reason("withheld", **numbers, margin=margin, better=leading, **_unseen(unseen, analysis, margin))


def _exceeds(evidence: Evidence, question: Question) -> bool:
    """Return whether the difference is shown to be larger than the margin, and not only different from 0."""
    low, high, _ = evidence.shown(question.level)
    return question.margin is not None and (low > question.margin or high < -question.margin)


def _unseen(unseen: Unseen | None, analysis: Analysis, margin: float | None = None) -> dict[str, Reason]:
    return {} if unseen is None else {"unseen": reason_of(unseen, analysis.endpoint, margin)}


def _better(analysis: Analysis, a: str, b: str, evidence: Evidence) -> tuple[str, str]:
    """Return the arm with the better value, then the other."""
    return (a, b) if analysis.endpoint.sign * evidence.contrast.difference > 0 else (b, a)


def _difference(analysis: Analysis, first: str, second: str, evidence: Evidence, level: float, family: int) -> Reason:
    """Return both means, and the interval of the difference first minus second, as a reason."""
    arms = analysis.arms
    means = tuple(float(arms.mean[arms.index(arm)]) for arm in (first, second))
    same = np.sign(means[0] - means[1]) == np.sign(evidence.contrast.difference)
    low, high, at = evidence.shown(level)
    interval, unit = (low, high) if same else (-high, -low), analysis.endpoint.unit
    return Reason("difference", means=means, unit=unit, level=at, interval=interval, family=family)


def paired_differences(analysis: Analysis, a: str, b: str) -> NDArray[np.float64]:
    """Return per-case differences of a metric (cases,), averaged over seeds and repeats of cross-validation."""
    panel, by_fold = analysis.panel, [analysis.endpoint.case_values(fold) for fold in analysis.panel.folds]
    values = [each[panel.columns(a)].mean(axis=0) - each[panel.columns(b)].mean(axis=0) for each in by_fold]
    cases, number = np.unique(np.concatenate([fold.case for fold in panel.folds]), return_inverse=True)
    return np.asarray(np.bincount(number, np.concatenate(values), len(cases)) / np.bincount(number))
