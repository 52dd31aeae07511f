"""Judge a table of predictions: the whole statistical pipeline in one call."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.analysis import Analysis, analyse, interval
from equipoise.statistics.comparison import pooled_variance
from equipoise.statistics.endpoints import AUC, endpoint_named
from equipoise.statistics.gatekeeping import gated
from equipoise.statistics.judgement import Comparison, Judgement, Variance
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.looks import nominal_alpha
from equipoise.statistics.margins import check_margins, refuse_margin_of_range, wide_margin
from equipoise.statistics.pairs import compare_family
from equipoise.statistics.panel import Panel, align
from equipoise.statistics.ranking import Rank, rank
from equipoise.statistics.reasons import Reason
from equipoise.statistics.repeated_runs import FEWEST_VALUES, NEARLY, NEARLY_ELSEWHERE, nearness, without_repeats
from equipoise.statistics.seed_spread import SeedSpread
from equipoise.statistics.turned_classes import area_of, turned_classes
from equipoise.statistics.unequal_patients import prevailing
from equipoise.statistics.verdict import Question


def judge(
    predictions: Predictions,
    *,
    primary: str,
    secondary: Sequence[str] = (),
    margin: float | None,
    family: str = "all",
    pairs: Sequence[tuple[str, str]] = (),
    alpha: float = 0.05,
    positive: str | None = None,
    planned_seeds: int | None = None,
    deterministic: Collection[str] = (),
    arms: Sequence[str] = (),
    looks: Sequence[int] = (),
    shared_seeds: bool = False,
    patients_known: bool = True,
    common_cases: bool = False,
    networks: bool = False,
    elsewhere: bool = False,
    below_chance: bool = False,
    growing: int | None = None,
    margins: Mapping[str, float] | None = None,
    custom: Mapping[str, Endpoint] | None = None,
) -> Judgement:
    """Judge the test rows of a trial.

    `margin` belongs to the primary endpoint; `family` is "all" pairs of trained arms or the name of a control arm,
    and `pairs` replace such a family by other comparisons.
    `deterministic` names rules without a training seed (baselines): every trained arm is compared with each of them in
    a separate family; the rule's seed variance is 0 and the degrees of freedom are those of the trained arm.
    `arms` fixes the order and may name arms without any row. `planned_seeds` is the planned number of runs per arm, in
    a sequential trial up to this look: fewer give a warning. `looks` are the planned numbers of seeds of such a trial;
    with `shared_seeds` a seed means the same initialisation and data order in every arm. `networks`: the verdicts are
    about these trained networks, and patients alone are sampled. `elsewhere`: no ledger shows that runs are trainings
    of their own, so they count as one from a larger distance. Where every trained arm's AUC is below one half, the
    classes may be exchanged and nothing is judged, unless `below_chance` confirms the scores. `growing`: patients
    are added between judgements, all of which hold together; the number of patients at which they shall be sharpest.
    `margins` are those of secondary endpoints, which are judged in this order behind the primary one (`gatekeeping`).
    """
    _check(primary, margin, alpha, family)
    own = dict(margins or {})
    check_margins(own, primary, secondary)
    panel = align(predictions, arms=arms, common_cases=common_cases)
    order = list(arms) or sorted({*panel.arm, *panel.faults})
    _refuse_unknown(order, family, deterministic)
    trained = [arm for arm in order if arm not in deterministic]
    level, notes = _look(panel, trained, looks, planned_seeds, alpha)
    offered = (list(predictions.metrics), predictions.classes, custom)
    measured = endpoint_named(primary, *offered)
    notes += _wide_margins(
        [(endpoint_named(name, *offered), width) for name, width in ((primary, margin), *own.items())]
    )
    panel = without_repeats(panel, measured, deterministic, nearly=NEARLY_ELSEWHERE if elsewhere else NEARLY)
    notes += [*nearness(panel, measured, trained), *_prevailing(panel)] if elsewhere else []
    names = dict.fromkeys([primary, *secondary, *_companions(measured, predictions)])
    endpoints = (endpoint_named(name, *offered) for name in names)
    analyses = [analyse(panel, one, _positive(predictions, positive, one), deterministic) for one in endpoints]
    turned = None if below_chance else _turned(predictions, analyses, positive, deterministic)
    question = Question(
        margin, level, 1 - alpha, "primary", frozenset(deterministic), patients_known, shared_seeds, turned, networks,
        growing, bool(own),
    )  # fmt: skip
    # Baselines form their own family: adding one must not change the adjusted p-values between the trained arms.
    rules = [(arm, rule) for arm in trained for rule in order if rule in deterministic and rule != family]
    comparisons = _comparisons(analyses, [list(pairs) or _pairs(trained, family), rules], question, own)
    warnings = list(dict.fromkeys([*notes, *panel.warnings, *_warnings(panel, analyses, trained, planned_seeds)]))
    return _judgement(panel, analyses, comparisons, order, trained, warnings, level)


def _comparisons(
    analyses: Sequence[Analysis],
    families: Sequence[Sequence[tuple[str, str]]],
    question: Question,
    own: Mapping[str, float],
) -> list[Comparison]:
    """Compare the pairs of every family in every endpoint.

    The margin belongs to the first endpoint alone; `own`: margins of secondary endpoints, judged in this order behind.
    """
    comparisons: list[Comparison] = []
    for analysis in analyses:
        role_question = question if analysis is analyses[0] else _beside(question, own.get(analysis.endpoint.name))
        for pairs in families:
            comparisons += compare_family(analysis, pairs, role_question)
    return gated(comparisons, list(own))


def _judgement(
    panel: Panel,
    analyses: Sequence[Analysis],
    comparisons: list[Comparison],
    order: list[str],
    trained: list[str],
    warnings: list[Reason],
    level: float,
) -> Judgement:
    """Collect what the analyses say of every arm, of all pairs, and of the trained arms together."""
    primary = analyses[0]
    return Judgement(
        endpoints={arm: {a.endpoint.name: interval(a, arm) for a in analyses} for arm in order},
        comparisons=tuple(comparisons),
        ranking=_ranking(primary, trained, comparisons),
        warnings=tuple(dict.fromkeys(warnings)),
        variance=_variance(primary, comparisons, trained),
        alpha=level,
        n_patients=panel.n_patients,
        n_cases=panel.n_cases,
    )


def _prevailing(panel: Panel) -> list[Reason]:
    """Return the caution where one patient has a large share of the cases, of all or of a class."""
    cases: dict[str, tuple[int, int]] = {}
    for fold in panel.folds:
        own = zip(fold.case.tolist(), fold.patient.tolist(), fold.truth.tolist(), strict=True)
        cases |= {case: (patient, truth) for case, patient, truth in own}
    patient, truth = np.array(list(cases.values()), dtype=np.int64).T
    whole = prevailing(patient, np.zeros_like(truth))
    of_class = prevailing(patient, truth) if panel.classes else None
    if whole is None and of_class is None:
        return []
    most, of, label = whole or of_class or (0, 0, 0)
    name = panel.classes[label] if whole is None else None
    return [Reason("patient_prevails", cases=most, of=of, label=name)]


def _check(primary: str, margin: float | None, alpha: float, family: str) -> None:
    if margin is not None and not (np.isfinite(margin) and margin > 0):
        raise PredictionError(
            f"the margin {margin} of {primary} is not a positive number; state the smallest difference"
        )
    if not 0 < alpha < 0.5:
        raise PredictionError(f"alpha {alpha} is not between 0 and 0.5; use 0.05")
    if not family:
        raise PredictionError("the family is empty; use 'all' or the name of the control arm")


def _beside(question: Question, margin: float | None) -> Question:
    """Return the question about a secondary endpoint."""
    return replace(question, margin=margin, role="secondary", gated=question.gated and margin is not None)


def _wide_margins(margins: Sequence[tuple[Endpoint, float | None]]) -> list[Reason]:
    """Return the cautions on wide margins; raises PredictionError for one that no difference can exceed."""
    notes = []
    for endpoint, width in margins:
        refuse_margin_of_range(endpoint, width)
        wide = wide_margin(endpoint, width)
        notes += [] if wide is None else [wide]
    return notes


def _refuse_unknown(order: list[str], family: str, deterministic: Collection[str]) -> None:
    unknown = sorted({*deterministic, *([] if family == "all" else [family])} - set(order))
    if unknown:
        raise PredictionError(f"there is no arm {unknown[0]!r:.80}; the arms are {', '.join(order)}")


def _positive(predictions: Predictions, positive: str | None, endpoint: Endpoint) -> int | None:
    """Return the positive class's index: as named, else the second of two; None where classes are treated alike."""
    classes = predictions.classes
    if positive is not None and classes and positive not in classes:
        raise PredictionError(
            f"there is no class {positive!r:.80} to be positive; the classes are {', '.join(classes)}"
        )
    if not classes or endpoint.classes_alike:
        return None
    if positive is not None:
        return classes.index(positive)
    return 1 if len(classes) == 2 else None


def _turned(
    predictions: Predictions, analyses: Sequence[Analysis], positive: str | None, deterministic: Collection[str]
) -> Reason | None:
    """Return why the classes of the scores may be exchanged; None without scores."""
    if not predictions.classes or predictions.candidates is not None:
        return None
    index = _positive(predictions, positive, AUC)
    return turned_classes(area_of(analyses, index, deterministic), deterministic)


def _companions(primary: Endpoint, predictions: Predictions) -> list[str]:
    """Return further endpoints to report: every region of a mean over regions, and rates such as that of failures."""
    # A mean over regions hides a poor region, and a better typical case hides failures; so both are always reported.
    if primary.name not in predictions.metrics:
        return []
    regions = [
        f"{primary.name}{name.removeprefix('truth_voxels')}" for name in predictions.metrics if "truth_voxels" in name
    ]
    one_by_one = [name for name in regions if name in predictions.metrics and len(regions) > 1]
    return [*one_by_one, *primary.companion_names()]


def _pairs(trained: list[str], family: str) -> list[tuple[str, str]]:
    if family == "all":
        return list(combinations(trained, 2))
    return [(arm, family) for arm in trained if arm != family]


def _look(
    panel: Panel, trained: list[str], looks: Sequence[int], planned: int | None, alpha: float
) -> tuple[float, list[Reason]]:
    """Return the level of this look, and the reasons to report with it."""
    if not looks:
        return alpha, []
    # The planned number: a failed seed counts as trained, because a look that shifts with failures would not keep
    # alpha.
    seeds = planned or max((len(panel.columns(arm)) for arm in trained), default=0)
    level = nominal_alpha(looks, seeds, alpha)
    note = Reason("look", seeds=seeds, planned=looks[-1], level=level)
    extra = [Reason("looks_over_folds")] if len(panel.folds) > 1 else []
    return level, [note, *extra]


def _warnings(panel: Panel, analyses: list[Analysis], trained: list[str], planned: int | None) -> list[Reason]:
    out = []
    for arm in trained:
        seeds = sum(map(len, panel.repeated[arm])) if arm in panel.repeated else len(panel.columns(arm))
        if planned is not None and 0 < seeds < planned and arm not in panel.faults:
            out.append(Reason("unfinished_seeds", arm=arm, seeds=seeds, planned=planned))
    out += twin_arms(analyses[0])
    for analysis in analyses:
        out += analysis.refused.values()
        out += analysis.warnings
    return out


def twin_arms(analysis: Analysis) -> list[Reason]:
    """Find arms that share all runs, or some, with another arm: a copied file looks like perfect agreement."""
    arms, panel = analysis.design, analysis.panel
    out = []
    for a, b in combinations(range(len(arms.names)), 2) if arms is not None else ():
        # Equal metrics first, which is cheap: only then are the scores of all cases compared.
        if arms is None or not np.isin(arms.values[a], arms.values[b]).any():
            continue
        first, second = arms.member[a], arms.member[b]
        if len(first) == len(second) and all(map(partial(_equal, panel), first, second)):
            out.append(Reason("same_predictions", a=arms.names[a], b=arms.names[b]))
            continue
        shared = [(int(i), int(j)) for i in first for j in second if _varies(panel, i) and _equal(panel, i, j)]
        if shared:
            i, j = shared[0]
            one, other = (arms.names[a], panel.seed[i]), (arms.names[b], panel.seed[j])
            out.append(Reason("shared_run", a=one[0], seed_a=one[1], b=other[0], seed_b=other[1], runs=len(shared)))
    return out


def _equal(panel: Panel, i: int, j: int) -> bool:
    """Whether two columns of the panel have the same predictions, case by case."""
    return all(
        np.array_equal(fold.scores[i], fold.scores[j])
        and all(np.array_equal(values[i], values[j]) for values in fold.metrics.values())
        for fold in panel.folds
    )


def _varies(panel: Panel, i: int) -> bool:
    """Whether a column's values differ over cases: two runs may collapse alike, and then nothing was copied."""
    return any(
        len(np.unique(values)) >= FEWEST_VALUES
        for fold in panel.folds
        for values in (*fold.scores[i].T, *(metric[i] for metric in fold.metrics.values()))
    )


def _ranking(analysis: Analysis, trained: list[str], comparisons: Sequence[Comparison]) -> tuple[Rank, ...]:
    """Rank the trained arms; without ranks where an arm, or a pair of them, could not be judged."""
    # An arm that is left out would make another one the best for certain.
    unjudged = any(
        pair.verdict in ("refused", "single_run") and pair.a in trained and pair.b in trained
        for pair in comparisons
        if pair.role == "primary"
    )
    arms = analysis.design
    if arms is None or unjudged or any(arm in analysis.refused for arm in trained):
        return ()
    keep = [k for k, name in enumerate(arms.names) if name in trained]
    if not keep:
        return ()
    return rank(
        tuple(arms.names[k] for k in keep),
        arms.mean[keep],
        arms.covariance()[np.ix_(keep, keep)],
        sign=analysis.endpoint.sign,
    )


def _variance(analysis: Analysis, comparisons: list[Comparison], trained: list[str]) -> Variance | None:
    """Return the spread between runs and its share of the uncertainty; None without a usable primary comparison."""
    arms = analysis.design
    pairs = [
        c
        for c in comparisons
        if c.role == "primary"
        and c.se > 0
        and c.a in trained
        and c.b in trained
        and c.verdict != "single_run"
        and c.about == "methods"
    ]
    if arms is None or not pairs:
        return None
    square, df = pooled_variance(arms)
    # The variance between runs contains the patients whom each run judges differently (error - shared), which is no
    # instability of training, so it is subtracted.
    several = arms.seeds > 1
    own = float(np.mean(np.maximum(arms.error - arms.shared, 0.0)[several])) if several.any() else 0.0
    total = np.array([c.se_seeds**2 + c.se_patients**2 for c in pairs])
    seeds = float(np.mean(np.array([c.se_seeds**2 for c in pairs]) / total))
    patients = float(np.mean(1 - np.array([c.se_runs**2 for c in pairs]) / total))
    advice = Reason("what_would_help", seeds_share=seeds, patients_share=patients)
    known = max((arms.n_patients if analysis.events is None else analysis.events) - 1, 1)
    sd, run_sd, own_sd = (float(np.sqrt(one)) for one in (max(square - own, 0.0), square, own))
    ends = SeedSpread(sd, df, run_sd=run_sd, own_sd=own_sd, own_df=known).ends
    return Variance(analysis.endpoint.name, sd, df, seeds, patients, advice, run_sd, own_sd, known, ends)
