"""Compare arms in one endpoint: the decisions of a family with their reasons, and the gain by more data."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import wilcoxon

from equipoise.statistics.analysis import Analysis
from equipoise.statistics.comparison import Contrast, pooled_variance
from equipoise.statistics.decisive import within
from equipoise.statistics.families import Decision, Pair, decisions, sequence_interval
from equipoise.statistics.gatekeeping import claims
from equipoise.statistics.judgement import NAN, Comparison, TypicalCase
from equipoise.statistics.moderation import FEWEST_ARMS
from equipoise.statistics.posterior import Posterior
from equipoise.statistics.power import POWER, Needed, components, detectable, guard_decides, needed, power, seeds_needed
from equipoise.statistics.reasons import Reason
from equipoise.statistics.refusal_floor import fewest_patients
from equipoise.statistics.second_readings import posterior_of, wins_of
from equipoise.statistics.verdict import Question, flags, paired_differences, single_run_reason, verdict_reason

_Numbers = tuple[tuple[Needed, ...], int | None, float | None, float | None]
"""The grid of needed patients, those needed with these seeds, and the detectable difference: with the guard against
failures that nobody saw, and by the tests alone."""


def compare_family(analysis: Analysis, pairs: Sequence[Pair], question: Question) -> tuple[Comparison, ...]:
    """Return one comparison per pair, adjusted for all pairs that can be tested; the others are refused by name."""
    return tuple(
        _refusal(analysis, pair, question, decided)
        if isinstance(decided, Reason)
        else _comparison(analysis, decided, question)
        for pair, decided in decisions(analysis, pairs, question).items()
    )


def _comparison(analysis: Analysis, decision: Decision, question: Question) -> Comparison:
    candidate, evidence = decision.candidate, decision.evidence
    contrast, (a, b), new_data = candidate.contrast, candidate.pair, candidate.new_data
    low, high, level = evidence.shown(question.level)
    width = analysis.endpoint.width
    shown = _not_inferior(decision, question, analysis.endpoint.sign) if not candidate.why else ()
    reason, (grid, patients, smallest, by_tests) = _reason(analysis, decision, question, shown)
    return Comparison(
        a=a,
        b=b,
        endpoint=analysis.endpoint.name,
        difference=contrast.difference,
        low=evidence.interval[0],
        high=evidence.interval[1],
        p=contrast.p,
        p_adjusted=evidence.p_adjusted,
        margin=question.margin,
        verdict=decision.verdict,
        reason=reason,
        patients_needed=patients,
        role="primary" if question.role == "primary" else "secondary",
        method=_method(analysis, contrast, decision.family),
        se=contrast.se,
        se_patients=contrast.se_patients,
        se_seeds=contrast.se_seeds,
        se_runs=contrast.se_seeds * _of_runs_alone(analysis, a, b),
        df=contrast.df,
        simultaneous=decision.simultaneous,
        equivalence=evidence.equivalence,
        p_equivalence=evidence.p_equivalence,
        p_non_inferior=NAN if question.margin is None else candidate.p_worse(question.margin, analysis.endpoint.sign),
        p_new_data=evidence.p_new_data,
        new_data=within(new_data.interval(question.level), width) if new_data else (NAN, NAN),
        p_fitted=decision.p_fitted,
        fitted=within(candidate.fitted.interval(question.level), width) if new_data else (NAN, NAN),
        needed=grid,
        detectable=smallest,
        detectable_by_tests=by_tests,
        typical_case=_typical(analysis, a, b),
        flags=flags(analysis),
        unseen_failures=decision.unseen,
        withheld=decision.withheld,
        posterior=_posterior(analysis, decision, question),
        wins=wins_of(analysis, (a, b), question) if question.role == "primary" else None,
        about="networks" if question.networks else "methods",
        non_inferior=shown,
        decisive=(low, high),
        decisive_level=level,
        claims=_claims(decision, question, analysis.endpoint.sign),
    )


def _reason(
    analysis: Analysis, decision: Decision, question: Question, shown: Sequence[str]
) -> tuple[Reason, _Numbers]:
    """Return the reason for the verdict, and what the design needs and detects."""
    candidate, evidence, verdict = decision.candidate, decision.evidence, decision.verdict
    a, b = candidate.pair
    if candidate.why is not None:
        why = single_run_reason(analysis, a, b, evidence, candidate.why, question, decision.unseen, decision.family)
        return why, ((), None, None, None)
    reason = verdict_reason(analysis, a, b, evidence, verdict, question, decision.family, decision.unseen)
    numbers, advice = _what_is_needed(analysis, decision, question)
    if verdict == "not_enough_data":
        facts = reason.facts | {"new_data": _new_data_note(decision, question), "advice": advice}
        facts["guard"] = _guard(decision, numbers, analysis.arms.n_patients, "unseen" in facts)
        reason = Reason(reason.code, **facts)
    reason = _of_networks(reason, decision, question, shown) if question.networks else reason
    return reason, numbers


def _guard(decision: Decision, numbers: _Numbers, patients: int, named_before: bool) -> Reason | None:
    """Return what a guard against failures that nobody saw does to the detectable difference, where it sets it.

    named_before: whether the reason names these failures already.
    """
    *_, smallest, alone = numbers
    if decision.unseen is None or not guard_decides(smallest, alone):
        return None
    facts = {"excluded": decision.unseen.excluded, "shift": decision.unseen.shift, "arm": decision.unseen.arm}
    return Reason(
        "guard_decides", detectable=smallest, alone=alone, patients=patients, named_before=named_before, **facts
    )


def _claims(decision: Decision, question: Question, sign: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what is shown of either arm for a fixed sequence of endpoints; nothing where none is asked for."""
    if not question.gated or decision.candidate.why is not None:
        return (), ()
    bounds, unseen = sequence_interval(decision, question.alpha), decision.unseen
    doubt, reverses = (0.0, False) if unseen is None else (unseen.shift, unseen.reverses)
    return claims(bounds, question.margin, sign, decision.candidate.contrast.difference, doubt, reverses)


def _of_networks(reason: Reason, decision: Decision, question: Question, shown: Sequence[str]) -> Reason:
    """Return the reason for a verdict on trained networks; also which of them is not inferior, where that is news."""
    a, b = decision.candidate.pair
    winner = {"a_better": a, "b_better": b}.get(decision.verdict)
    others = [arm for arm in shown if arm != winner] if decision.verdict != "equivalent" else []
    pairs = tuple(Reason("not_inferior", a=arm, b=b if arm == a else a, margin=question.margin) for arm in others)
    return Reason("of_these_networks", verdict=reason, shown=pairs)


def _posterior(analysis: Analysis, decision: Decision, question: Question) -> Posterior | None:
    """Return the posterior of two trained arms, for a primary endpoint with a margin."""
    candidate = decision.candidate
    if question.margin is None or question.role != "primary":
        return None
    # The prior is of methods that differ by a few margins. A rule without training lies many margins below a network:
    # the prior would pull that difference towards 0, down to an interval that contradicts the data.
    if question.deterministic.intersection(candidate.pair):
        return None
    return posterior_of(analysis, candidate.pair, candidate.fitted, candidate.new_data, question.margin)


def _not_inferior(decision: Decision, question: Question, sign: int) -> tuple[str, ...]:
    """Return the arms whose disadvantage is shown to be smaller than the margin, also with failures not excluded."""
    if question.margin is None:
        return ()
    bounds, difference = decision.simultaneous, decision.candidate.contrast.difference
    ends = decision.candidate.near_ends
    if ends is not None:
        beside = ends.interval(1 - question.alpha / decision.family)
        bounds = min(bounds[0], beside[0]), max(bounds[1], beside[1])
    low, high = bounds if sign > 0 else (-bounds[1], -bounds[0])
    shift = 0.0 if decision.unseen is None else decision.unseen.shift
    ahead = (sign * difference, -sign * difference)
    return tuple(
        arm
        for arm, worst, own in zip(decision.candidate.pair, (low, -high), ahead, strict=True)
        if worst > -question.margin and own - shift > -question.margin
    )


def _method(analysis: Analysis, contrast: Contrast, family: int) -> str:
    """Return the method of the pair's own numbers, and whether the family's lean on the spreads of all arms."""
    several = int((analysis.arms.seed_variance > 0).sum()) >= FEWEST_ARMS
    leans = family > 1 and several and contrast.method.startswith("Welch")
    return contrast.method + (", moderated over arms in the family" if leans else "")


def _new_data_note(decision: Decision, question: Question) -> Reason | None:
    if not (decision.p_fitted < question.alpha <= decision.evidence.p_new_data):
        return None
    return Reason("new_data_undecided", p=decision.evidence.p_new_data)


def _of_runs_alone(analysis: Analysis, a: str, b: str) -> float:
    """Return the part of the standard error between runs that more patients would not reduce."""
    arms = analysis.arms
    parts = components(arms, arms.index(a), arms.index(b), pooled_variance(arms))
    total = parts.seed + parts.error
    return float(np.sqrt(parts.seed / total)) if total > 0 else 0.0


def _what_is_needed(analysis: Analysis, decision: Decision, question: Question) -> tuple[_Numbers, Reason]:
    """Return what the design needs and detects, and a reason."""
    arms, panel, rule = analysis.arms, analysis.panel, decision.rule
    if decision.unseen is not None:
        rule = replace(rule, unseen=decision.unseen.shift * arms.n_patients)
    a, b = decision.candidate.pair
    trained = [name for name in (a, b) if name not in question.deterministic]
    seeds = min(int(arms.seeds[arms.index(name)]) for name in trained)
    parts = components(arms, arms.index(a), arms.index(b), pooled_variance(arms), analysis.events)
    smallest = detectable(parts, arms.n_patients, seeds, rule)
    alone = detectable(parts, arms.n_patients, seeds, replace(rule, unseen=0.0))
    if question.margin is None:
        return ((), None, smallest, alone), Reason("detectable_only", detectable=smallest)
    floor = fewest_patients(analysis.endpoint, arms.n_patients, panel.n_cases, analysis.events)
    # Of one run each nothing is known of a second: no number of runs but this one can be planned.
    runs = [seeds] if question.networks else sorted({3, 5, 10, seeds})
    grid = needed(parts, question.margin, rule, runs, floor)
    own = next(entry for entry in grid if entry.seeds == seeds)
    chance = power(parts, arms.n_patients, seeds, question.margin, rule)
    more = seeds_needed(parts, question.margin, rule=rule) if own.patients is None else None
    advice = _advice(grid, own, arms.n_patients, question.margin, (chance, smallest, more))
    return (grid, own.patients, smallest, alone), advice


def _advice(
    grid: Sequence[Needed], own: Needed, patients: int, margin: float, design: tuple[float, float, int | None]
) -> Reason:
    """State the design's power at the margin, and the patients or seeds that would detect it.

    design: its power, its detectable difference, and the seeds needed with any number of patients.
    """
    chance, smallest, seeds = design
    facts = {"margin": margin, "power": chance}
    # The power may fall with more patients: where runs dominate the error, few degrees of freedom are left. A design
    # with enough power is therefore never told that no number of patients is enough.
    if chance >= POWER or (own.patients is not None and own.patients <= patients):
        return Reason("enough_patients", **facts, detectable=smallest)
    if own.patients is None:
        return Reason("more_seeds_needed", **facts, seeds=own.seeds, seeds_needed=seeds)
    others = tuple((e.patients, e.seeds) for e in grid if e.seeds > own.seeds and e.patients)
    return Reason(
        "more_patients_needed",
        **facts,
        seeds=own.seeds,
        patients=own.patients,
        low=own.low,
        high=own.high,
        others=others,
    )


def _refusal(analysis: Analysis, pair: Pair, question: Question, why: Reason) -> Comparison:
    arms = analysis.design
    difference = NAN
    if arms is not None and all(name in arms.names for name in pair):
        difference = float(arms.mean[arms.index(pair[0])] - arms.mean[arms.index(pair[1])])
    return Comparison(
        a=pair[0],
        b=pair[1],
        endpoint=analysis.endpoint.name,
        difference=difference,
        low=NAN,
        high=NAN,
        p=NAN,
        p_adjusted=NAN,
        margin=question.margin,
        verdict="refused",
        reason=Reason("no_verdict", endpoint=analysis.endpoint.label, why=why),
        patients_needed=None,
        role="primary" if question.role == "primary" else "secondary",
        flags=flags(analysis),
    )


def _typical(analysis: Analysis, a: str, b: str) -> TypicalCase | None:
    """Return median difference and Wilcoxon's p of a per-case metric (the typical case, not the mean); else None."""
    endpoint = analysis.endpoint
    if not endpoint.kind.typical_case or endpoint.column(list(analysis.panel.folds[0].metrics)) is None:
        return None
    differences = paired_differences(analysis, a, b)
    p = float(wilcoxon(differences).pvalue) if np.any(differences != 0) else 1.0
    return TypicalCase(float(np.median(differences)), p)
