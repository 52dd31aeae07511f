"""Decide a family of comparisons: contrasts, adjustment over the family, verdicts; `pairs` adds what explains them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from equipoise.statistics.always_valid import FEWEST, price
from equipoise.statistics.analysis import Analysis
from equipoise.statistics.comparison import (
    Contrast,
    Design,
    Error,
    compare,
    compare_as_trained,
    equivalence_p,
    moderated,
    resampled_contrast,
)
from equipoise.statistics.criterion import Criterion, criterion
from equipoise.statistics.decisive import Decisive, level_tested, of_equivalence, widest, within
from equipoise.statistics.judgement import NAN, Unseen, Verdict
from equipoise.statistics.multiplicity import Adjusted, holm, level_of, max_t
from equipoise.statistics.near_ends import NearEnds, near_ends
from equipoise.statistics.paired_rates import paired_rates
from equipoise.statistics.reasons import Reason
from equipoise.statistics.unseen_failures import case_values_of, skewed, third_of, unseen_failures
from equipoise.statistics.verdict import Evidence, Question, decide_guarded, obstacle

Pair = tuple[str, str]


@dataclass(frozen=True)
class Candidate:
    """A pair with its numbers, before the adjustment for the family.

    `contrast` rests on the two arms alone, `family` on the spreads of all arms, both on `new_data` as well where folds
    tell of it; `fitted` does without: it is about the fitted networks. For rates and areas equivalence must also hold
    by `near_ends`.
    """

    pair: Pair
    contrast: Contrast
    family: Contrast
    fitted: Contrast
    new_data: Contrast | None
    why: Reason | None
    near_ends: NearEnds | None = None

    @property
    def tested_for_equivalence(self) -> tuple[Contrast | NearEnds, ...]:
        """All comparisons by which the arms must be equivalent."""
        return (self.contrast, self.family) if self.near_ends is None else (self.contrast, self.family, self.near_ends)

    def p_equivalence(self, margin: float) -> float:
        """Return the TOST p, the largest of all: by the two arms alone, by the spreads of all, and near the ends."""
        p = max(equivalence_p(self.contrast, margin), equivalence_p(self.family, margin))
        return p if self.near_ends is None else max(p, self.near_ends.p_equivalence(margin))

    def p_worse(self, margin: float, sign: int) -> float:
        """Return the one-sided p that the first arm is worse by the margin or more; sign -1: lower is better."""
        forms = (self.contrast,) if self.near_ends is None else (self.contrast, self.near_ends)
        return max((form if sign > 0 else form.turned()).p_worse(margin) for form in forms)

    def equivalence(self, level: float) -> tuple[float, float]:
        """Return the interval that must lie inside the margin, the widest of the pair's own."""
        own = self.contrast.interval(level)
        beside = own if self.near_ends is None else self.near_ends.interval(level)
        return min(own[0], beside[0]), max(own[1], beside[1])


@dataclass(frozen=True)
class Decision:
    """The verdict on a pair and the numbers that it rests on.

    `withheld` is the verdict of the tests alone, where failures that nobody saw (`unseen`) may undo it.
    `simultaneous` excludes 0 where the adjusted p is below alpha. `p_fitted` is adjusted over the family of `family`
    comparisons; `rule` is what a difference has to pass in a trial of this kind.
    """

    candidate: Candidate
    evidence: Evidence
    verdict: Verdict
    withheld: Verdict | None
    unseen: Unseen | None
    simultaneous: tuple[float, float]
    p_fitted: float
    rule: Criterion
    family: int


def decisions(analysis: Analysis, pairs: Sequence[Pair], question: Question) -> dict[Pair, Decision | Reason]:
    """Decide every pair that can be tested, adjusted for all of them; return the reason for each of the others."""
    done: dict[Pair, Decision | Reason] = {}
    candidates = []
    leaning = moderated(analysis.design) if analysis.design else None
    for pair in pairs:
        barrier = obstacle(analysis, *pair, question)
        if leaning is None or (barrier and barrier[0] == "refused"):
            done[pair] = barrier[1] if barrier else Reason("no_predictions", arm=pair[0])
            continue
        candidate = candidate_of(analysis, leaning, pair, question, barrier[1] if barrier else None)
        if candidate.contrast.se == 0:
            done[pair] = Reason("no_variation", a=pair[0], b=pair[1])
        else:
            candidates.append(candidate)
    for decision in _decided(analysis, candidates, question):
        done[decision.candidate.pair] = decision
    return {pair: done[pair] for pair in pairs}


def _decided(analysis: Analysis, candidates: Sequence[Candidate], question: Question) -> list[Decision]:
    if not candidates:
        return []
    places = [(analysis.arms.index(c.pair[0]), analysis.arms.index(c.pair[1])) for c in candidates]
    family = adjusted(analysis, candidates, places, question.alpha)
    new_data = np.array([c.new_data.p if c.new_data else NAN for c in candidates])
    single = new_data.copy()
    known, fitted = np.isfinite(new_data), np.full(len(candidates), NAN)
    if known.any():
        new_data[known] = holm(new_data[known])
        fitted = max_t([c.fitted.p for c in candidates], places, analysis.arms.covariance(), alpha=question.alpha).p
    alone = equal = np.full(len(candidates), NAN)
    if question.margin is not None:
        alone = np.array([c.p_equivalence(question.margin) for c in candidates])
        equal = holm(alone)
    rule, out = _rule(analysis, candidates, places, question.alpha), []
    seen = case_values_of(analysis, question.deterministic)
    width = analysis.endpoint.width
    for k, candidate in enumerate(candidates):
        evidence = _evidence(candidate, question, (float(family.p[k]), float(equal[k]), float(new_data[k])), width)
        apart = candidate.contrast.difference
        unseen = unseen_failures(analysis, *candidate.pair, apart, question.deterministic, seen)
        verdict: Verdict = "single_run"
        withheld: Verdict | None = None
        if candidate.why is None:
            verdict, withheld = decide_guarded(evidence, question, analysis.endpoint.sign, unseen)
        simultaneous = within(_simultaneous(candidate, family, question.alpha), width)
        if known[k]:
            at = level_tested(float(single[k]), float(new_data[k]), question.alpha, int(known.sum()))
            simultaneous = within(_also_of_new_data(candidate, simultaneous, at), width)
        decisive = Decisive(*simultaneous, 1 - question.alpha)
        if verdict == "equivalent":
            tests = float(equal[k]), float(alone[k]), question.alpha, len(places)
            decisive = of_equivalence(candidate.tested_for_equivalence, *tests)
            decisive = Decisive(*within(decisive[:2], width), decisive.level)
        evidence = replace(evidence, decisive=decisive)
        numbers = simultaneous, float(fitted[k]), rule, len(places)
        out.append(Decision(candidate, evidence, verdict, withheld, unseen, *numbers))
    return out


def _evidence(candidate: Candidate, question: Question, p: tuple[float, float, float], width: float) -> Evidence:
    """Return the pair's own intervals with the p of its family: of no difference, no equivalence, no new data."""
    own = within(candidate.contrast.interval(question.level), width)
    return Evidence(candidate.contrast, *p, own, within(candidate.equivalence(2 * question.level - 1), width))


def _rule(
    analysis: Analysis, candidates: Sequence[Candidate], places: Sequence[tuple[int, int]], alpha: float
) -> Criterion:
    """Return what a difference has to pass, for the power of such trials."""
    several = int((analysis.arms.seed_variance > 0).sum())
    if not any(candidate.new_data for candidate in candidates):
        return criterion(places, alpha, arms=several)
    tested = len(analysis.panel.folds)
    repeats = max(1, round(sum(len(fold.case) for fold in analysis.panel.folds) / analysis.panel.n_cases))
    return criterion(places, alpha, arms=several, folds=max(2, tested // repeats), repeats=repeats)


def candidate_of(analysis: Analysis, leaning: Design, pair: Pair, question: Question, why: Reason | None) -> Candidate:
    """Compare a pair by itself, by the spreads of all arms (`leaning`) and over folds.

    `why` is what forbids a verdict on the methods. Then, or where the question asks for it, the trained networks are
    compared.
    """
    arms = analysis.arms
    a, b = (arms.index(name) for name in pair)
    third = third_of(analysis, pair)
    new_data, ends = _resampled(analysis, *pair), near_ends(analysis, *pair)
    if why is not None or question.networks:
        trained = skewed(compare_as_trained(arms, a, b), third, arms.n_patients)
        score = paired_rates(analysis, *pair, trained) if question.networks and question.growing is None else None
        fitted = family = score or trained
        ends = None if score else ends  # a score interval is right near the ends
    else:
        shared = _shared(analysis, *pair, question)
        plain = [compare(form, a, b, shared_seeds=shared) for form in (arms, leaning)]
        fitted, family = (skewed(form, third, arms.n_patients) for form in plain)
    fitted, family = (_at_every_look(each, arms.n_patients, question.growing) for each in (fitted, family))
    if ends is not None and question.growing is not None and arms.n_patients >= FEWEST:
        ends = ends.widened(price(arms.n_patients, question.growing))
    return Candidate(pair, _with(fitted, new_data), _with(family, new_data), fitted, new_data, why, ends)


def _at_every_look(contrast: Contrast, patients: int, tightest: int | None) -> Contrast:
    """Return the comparison that stays valid however often one looks while patients are added."""
    if tightest is None or contrast.se == 0 or patients < FEWEST:
        return contrast
    factor = price(patients, tightest)
    widest = tuple(Error(error.se * factor, error.df, error.skew) for error in contrast.errors)
    for error in widest:
        contrast = contrast.joined(error, "to be valid at every look")
    return contrast


def _with(contrast: Contrast, new_data: Contrast | None) -> Contrast:
    """Return the comparison that must also hold for new training data, where folds tell of it."""
    if new_data is None or new_data.se == 0:
        return contrast
    return contrast.joined(Error(new_data.se, new_data.df), "for new training data")


def _shared(analysis: Analysis, a: str, b: str, question: Question) -> bool:
    """Return whether the two arms finished the same seeds, and a seed means the same in both."""
    if not question.shared_seeds:
        return False
    seeds = [[analysis.panel.seed[c] for c in analysis.panel.columns(arm)] for arm in (a, b)]
    return seeds[0] == seeds[1]


def _resampled(analysis: Analysis, a: str, b: str) -> Contrast | None:
    """Return the corrected resampled t over folds, where folds tested different cases (cross-validation)."""
    if analysis.estimates is None or len(analysis.panel.folds) < 2:
        return None
    folds = analysis.estimates.by_fold
    difference = folds[:, analysis.panel.columns(a)].mean(axis=1) - folds[:, analysis.panel.columns(b)].mean(axis=1)
    share = float(np.mean([len(fold.case) for fold in analysis.panel.folds])) / analysis.panel.n_cases
    # Models of several folds that were all tested on the same cases: the overlap of their training sets is unknown.
    if share == 1.0:
        return None
    return resampled_contrast(difference, share / (1 - share))


def adjusted(
    analysis: Analysis, candidates: Sequence[Candidate], places: Sequence[tuple[int, int]], alpha: float
) -> Adjusted:
    """Adjust over the family; an adjusted p is never below that of the two arms alone."""
    if len(candidates) == 1:
        return max_t([candidates[0].contrast.p], places, analysis.arms.covariance(), alpha=alpha)
    joint = max_t([c.family.p for c in candidates], places, analysis.arms.covariance(), alpha=alpha)
    return Adjusted(np.maximum(joint.p, [c.contrast.p for c in candidates]), joint.critical)


def _simultaneous(candidate: Candidate, family: Adjusted, alpha: float) -> tuple[float, float]:
    """Return the interval that excludes 0 where the adjusted p is below alpha."""
    own = candidate.contrast.interval(1 - alpha)
    if len(family.p) == 1:
        return own
    return widest([own, candidate.family.interval(level_of(family.critical))])


def sequence_interval(decision: Decision, alpha: float) -> tuple[float, float]:
    """Return the interval at 1 - alpha / K for K comparisons, by all errors, from which a fixed sequence reads."""
    candidate, level = decision.candidate, 1 - alpha / decision.family
    bounds = [candidate.contrast.interval(1 - alpha), candidate.family.interval(level)]
    bounds += [candidate.new_data.interval(level)] if candidate.new_data and candidate.new_data.se > 0 else []
    bounds += [candidate.near_ends.interval(level)] if candidate.near_ends else []
    return widest(bounds)


def _also_of_new_data(candidate: Candidate, interval: tuple[float, float], level: float) -> tuple[float, float]:
    """Return the interval that also holds the 0 which the test of new training data, at its level, does not reject."""
    if candidate.new_data is None or candidate.new_data.se == 0:
        return interval
    return widest([interval, candidate.new_data.interval(1 - level)])
