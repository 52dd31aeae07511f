"""The patients and runs that a planned trial needs, from a pilot's predictions: the numbers of a grant application.

Everything is that of a judgement: the pilot's components of variance, the criterion of its family and `power`. A
planned trial compares the pairs of arms that the pilot has; the pair that needs most patients decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from equipoise.errors import PredictionError
from equipoise.statistics.analysis import Analysis
from equipoise.statistics.comparison import pooled_variance
from equipoise.statistics.criterion import Criterion
from equipoise.statistics.families import Decision, Pair, decisions
from equipoise.statistics.power import (
    POWER,
    SEEDS,
    Components,
    Needed,
    components,
    needed,
    patients_needed,
    seeds_needed,
)
from equipoise.statistics.reasons import Reason
from equipoise.statistics.refusal_floor import fewest_patients
from equipoise.statistics.verdict import Question

FACTORS = (0.75, 1.0, 1.25)
"""Spreads (standard deviations) of the sensitivity table, as multiples of the pilot's."""


class NoSampleSize(PredictionError):
    """A pilot that allows no planning; `reason`: why, as a verdict would be refused."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.code)
        self.reason = reason


@dataclass(frozen=True)
class SampleSize:
    """What a planned trial needs to find a true difference; standard deviations are in the endpoint's unit.

    pair: the two arms of the pilot that need most; comparisons: of the planned family. run_sd: between runs beyond
    what patients explain, with run_df degrees of freedom; own_sd, shared_sd: of one run's value per patient that no
    other run shares, and of the difference per patient that all runs share. needed: patients by number of runs with
    their range; sensitivity: factor of all spreads -> patients by number of runs (None: no number suffices). guarded:
    whether a winner must outweigh failures that nobody saw. fewest_seeds: the runs with which some number of patients
    is enough, where one of `needed` has none (None: up to 200 runs no number is enough, or all of `needed` have one).
    """

    pair: Pair
    difference: float
    alpha: float
    power: float
    comparisons: int
    arms: tuple[str, ...]
    pilot_patients: int
    pilot_runs: tuple[int, ...]
    events: int | None
    folds: int
    networks: bool
    run_sd: float
    run_df: int
    own_sd: float
    shared_sd: float
    needed: tuple[Needed, ...]
    sensitivity: dict[float, tuple[int | None, ...]]
    fewest: int
    guarded: bool
    fewest_seeds: int | None


def sample_size(
    analysis: Analysis,
    pairs: Sequence[Pair],
    question: Question,
    *,
    power: float = POWER,
    seeds: Sequence[int] = SEEDS,
) -> SampleSize:
    """Return what is needed to find a difference of the question's margin, at its level for the family of `pairs`.

    Of one run each nothing is known of a second, so trained networks are planned, with one run. Raises NoSampleSize
    where the pilot allows no verdict on some pair.
    """
    difference = float(question.margin or 0.0)
    runs = [1] if question.networks else sorted(set(seeds))
    decided = decisions(analysis, pairs, question)
    plans = [_planned(analysis, decision) for decision in decided.values()]
    fewest = fewest_patients(analysis.endpoint, analysis.arms.n_patients, analysis.panel.n_cases, analysis.events)
    exact = [[patients_needed(p, count, difference, rule, fewest, power) for count in runs] for p, rule in plans]
    most = max(range(len(plans)), key=lambda k: [np.inf if n is None else n for n in exact[k]])
    parts, rule = plans[most]
    pair, arms = list(decided)[most], analysis.arms
    grid = needed(parts, difference, rule, runs, fewest, power)
    lacking = not question.networks and None in exact[most]
    stable = seeds_needed(parts, difference, rule=rule, chance=power) if lacking else None
    return SampleSize(
        pair, difference, question.alpha, power, len(pairs), arms.names, arms.n_patients,
        tuple(int(count) for count in arms.seeds), analysis.events, rule.folds, question.networks,
        float(np.sqrt(parts.seed)), parts.seed_df, float(np.sqrt(parts.error * parts.n_patients)),
        float(np.sqrt(parts.patients * parts.n_patients)),
        tuple(replace(entry, patients=n) for entry, n in zip(grid, exact[most], strict=True)),
        {
            factor: tuple(patients_needed(_spread(parts, factor), n, difference, rule, fewest, power) for n in runs)
            for factor in FACTORS
        },
        fewest, rule.unseen > 0, stable,
    )  # fmt: skip


def _planned(analysis: Analysis, decision: Decision | Reason) -> tuple[Components, Criterion]:
    """Return a pair's components of variance, and what its difference will have to pass."""
    if isinstance(decision, Reason):
        raise NoSampleSize(decision)
    if decision.candidate.why is not None:
        raise NoSampleSize(decision.candidate.why)
    arms, rule = analysis.arms, decision.rule
    if decision.unseen is not None:
        rule = replace(rule, unseen=decision.unseen.shift * arms.n_patients)
    a, b = (arms.index(name) for name in decision.candidate.pair)
    return components(arms, a, b, pooled_variance(arms), analysis.events), rule


def _spread(parts: Components, factor: float) -> Components:
    """Return the components with all standard deviations multiplied."""
    square = factor**2
    return replace(parts, seed=parts.seed * square, error=parts.error * square, patients=parts.patients * square)
