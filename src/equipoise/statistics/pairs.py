"""Compare arms in one endpoint: contrasts, adjustment over the family, verdicts, and the gain by more data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wilcoxon

from equipoise.statistics.analysis import Analysis
from equipoise.statistics.comparison import (
    Contrast,
    compare,
    compare_as_trained,
    equal_spread_p,
    equivalence_p,
    non_inferiority_p,
    pooled_variance,
    resampled_contrast,
)
from equipoise.statistics.judgement import NAN, Comparison, TypicalCase, Verdict
from equipoise.statistics.multiplicity import Adjusted, holm, level_of, max_t
from equipoise.statistics.power import Components, Needed, components, detectable, needed, power, seeds_needed
from equipoise.statistics.reasons import Reason
from equipoise.statistics.unseen_failures import skewed, unseen_failures
from equipoise.statistics.verdict import (
    Evidence,
    Question,
    decide_guarded,
    flags,
    obstacle,
    paired_differences,
    single_run_reason,
    verdict_reason,
)

Pair = tuple[str, str]
# From three arms on seed variances are pooled, because two degrees of freedom per arm are few. They are not pooled
# where Bartlett's test finds them unequal: in simulations one arm with a spread of 0.03 among stable ones raised the
# family's error to 0.11 when pooled.
FEWEST_POOLED = 3
EQUAL_SPREAD = 0.1


@dataclass(frozen=True)
class _Candidate:
    """A pair with its numbers, before the adjustment for the family."""

    pair: Pair
    contrast: Contrast
    new_data: Contrast | None
    why: Reason | None


def compare_family(analysis: Analysis, pairs: Sequence[Pair], question: Question) -> tuple[Comparison, ...]:
    """Return one comparison per pair, adjusted for all pairs that can be tested; the others are refused by name."""
    done: dict[Pair, Comparison] = {}
    candidates = []
    for pair in pairs:
        barrier = obstacle(analysis, *pair, question)
        if barrier and barrier[0] == "refused":
            done[pair] = _refusal(analysis, pair, question, barrier[1])
            continue
        candidate = _candidate(analysis, pair, question, barrier[1] if barrier else None)
        if candidate.contrast.se == 0:
            why = Reason("no_variation", a=pair[0], b=pair[1])
            done[pair] = _refusal(analysis, pair, question, why)
        else:
            candidates.append(candidate)
    for comparison in _adjusted(analysis, candidates, question):
        done[comparison.a, comparison.b] = comparison
    return tuple(done[pair] for pair in pairs)


def _candidate(analysis: Analysis, pair: Pair, question: Question, why: Reason | None) -> _Candidate:
    arms = analysis.arms
    a, b = (arms.index(name) for name in pair)
    if why is not None:
        return _Candidate(pair, skewed(analysis, pair, compare_as_trained(arms, a, b)), None, why)
    pooled = int((arms.seeds > 1).sum()) >= FEWEST_POOLED and equal_spread_p(arms) >= EQUAL_SPREAD
    contrast = compare(arms, a, b, pooled=pooled, shared_seeds=_shared(analysis, *pair, question))
    return _Candidate(pair, skewed(analysis, pair, contrast), _resampled(analysis, *pair), None)


def _shared(analysis: Analysis, a: str, b: str, question: Question) -> bool:
    """Return whether the two arms finished the same seeds, and a seed means the same in both."""
    seeds = [[analysis.panel.seed[c] for c in analysis.panel.columns(arm)] for arm in (a, b)]
    return question.shared_seeds and seeds[0] == seeds[1]


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


def _adjusted(analysis: Analysis, candidates: Sequence[_Candidate], question: Question) -> list[Comparison]:
    if not candidates:
        return []
    arms = analysis.arms
    places = [(arms.index(c.pair[0]), arms.index(c.pair[1])) for c in candidates]
    family = max_t([c.contrast.p for c in candidates], places, arms.covariance(), alpha=question.alpha)
    new_data = np.array([c.new_data.p if c.new_data else NAN for c in candidates])
    known = np.isfinite(new_data)
    new_data[known] = holm(new_data[known])
    margin = question.margin
    equal = [_equivalence(c, margin) if margin is not None else NAN for c in candidates]
    equal = list(holm(equal)) if margin is not None else equal
    return [
        _comparison(analysis, candidate, question, family, k, float(equal[k]), float(new_data[k]))
        for k, candidate in enumerate(candidates)
    ]


def _equivalence(candidate: _Candidate, margin: float) -> float:
    """Return the TOST p; under cross-validation the larger of that of these models and that of new training data."""
    own = equivalence_p(candidate.contrast, margin)
    if candidate.new_data is None or candidate.new_data.se == 0:
        return own
    return max(own, equivalence_p(candidate.new_data, margin))


def _comparison(
    analysis: Analysis, candidate: _Candidate, question: Question, family: Adjusted, k: int, equal: float, new: float
) -> Comparison:
    contrast, (a, b) = candidate.contrast, candidate.pair
    interval, ninety = contrast.interval(question.level), contrast.interval(2 * question.level - 1)
    evidence = Evidence(contrast, float(family.p[k]), equal, new, interval, ninety)
    grid: tuple[Needed, ...] = ()
    smallest, patients = None, None
    unseen = unseen_failures(analysis, a, b, contrast.difference, question.deterministic)
    withheld: Verdict | None = None
    if candidate.why is not None:
        verdict: Verdict = "single_run"
        reason = single_run_reason(analysis, a, b, evidence, candidate.why, question, unseen)
    else:
        verdict, withheld = decide_guarded(evidence, question, analysis.endpoint.sign, unseen)
        reason = verdict_reason(analysis, a, b, evidence, verdict, question, len(family.p), unseen)
        grid, patients, smallest, advice = _what_is_needed(analysis, a, b, question)
        if verdict == "not_enough_data":
            facts = reason.facts | {"new_data": _new_data_note(evidence, question), "advice": advice}
            reason = Reason(reason.code, **facts)
    new_data = candidate.new_data
    return Comparison(
        a=a,
        b=b,
        endpoint=analysis.endpoint.name,
        difference=contrast.difference,
        low=interval[0],
        high=interval[1],
        p=contrast.p,
        p_adjusted=evidence.p_adjusted,
        margin=question.margin,
        verdict=verdict,
        reason=reason,
        patients_needed=patients,
        role="primary" if question.role == "primary" else "secondary",
        method=contrast.method,
        se=contrast.se,
        se_patients=contrast.se_patients,
        se_seeds=contrast.se_seeds,
        se_runs=contrast.se_seeds * _of_runs_alone(analysis, a, b),
        df=contrast.df,
        simultaneous=contrast.interval(level_of(family.critical)),
        equivalence=ninety,
        p_equivalence=equal,
        p_non_inferior=_non_inferior(contrast, question.margin, analysis.endpoint.sign),
        p_new_data=new,
        new_data=new_data.interval(question.level) if new_data else (NAN, NAN),
        needed=grid,
        detectable=smallest,
        typical_case=_typical(analysis, a, b),
        flags=flags(analysis),
        unseen_failures=unseen,
        withheld=withheld,
    )


def _non_inferior(contrast: Contrast, margin: float | None, sign: int) -> float:
    """Return the one-sided p that a is worse than b by the margin or more."""
    if margin is None:
        return NAN
    return non_inferiority_p(contrast if sign > 0 else contrast.turned(), margin)


def _new_data_note(evidence: Evidence, question: Question) -> Reason | None:
    if not (evidence.p_adjusted < question.alpha <= evidence.p_new_data):
        return None
    return Reason("new_data_undecided", p=evidence.p_new_data)


def _of_runs_alone(analysis: Analysis, a: str, b: str) -> float:
    """Return the part of the standard error between runs that more patients would not reduce."""
    arms = analysis.arms
    parts = components(arms, arms.index(a), arms.index(b), pooled_variance(arms))
    total = parts.seed + parts.error
    return float(np.sqrt(parts.seed / total)) if total > 0 else 0.0


def _what_is_needed(
    analysis: Analysis, a: str, b: str, question: Question
) -> tuple[tuple[Needed, ...], int | None, float | None, Reason]:
    """Return the grid of needed patients, those needed with these seeds, the detectable difference, and a reason."""
    arms = analysis.arms
    trained = [name for name in (a, b) if name not in question.deterministic]
    seeds = min(int(arms.seeds[arms.index(name)]) for name in trained)
    parts = components(arms, arms.index(a), arms.index(b), pooled_variance(arms))
    smallest = detectable(parts, arms.n_patients, seeds)
    if question.margin is None:
        return (), None, smallest, Reason("detectable_only", detectable=smallest)
    grid = needed(parts, question.margin, seeds=sorted({3, 5, 10, seeds}))
    own = next(entry for entry in grid if entry.seeds == seeds)
    return grid, own.patients, smallest, _advice(parts, grid, own, question.margin, smallest, arms.n_patients)


def _advice(
    parts: Components, grid: Sequence[Needed], own: Needed, margin: float, smallest: float, patients: int
) -> Reason:
    """State the design's power at the margin, and the patients or seeds that would detect it."""
    design = {"margin": margin, "power": power(parts, patients, own.seeds, margin)}
    if own.patients is None:
        return Reason("more_seeds_needed", **design, seeds=own.seeds, seeds_needed=seeds_needed(parts, margin))
    if own.patients <= patients:
        return Reason("enough_patients", **design, detectable=smallest)
    others = tuple((e.patients, e.seeds) for e in grid if e.seeds > own.seeds and e.patients)
    return Reason(
        "more_patients_needed",
        **design,
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
