"""Trials whose truth is known, judged by the product's own functions: how often does a verdict err?

Each kind of outcome draws the values of every run on every case; `rates` repeats a design and counts false winners,
false equivalence and the coverage of intervals. The numbers stand in `docs/statistics.md`, made by
`benchmarks/verdict_sweep.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from equipoise.statistics.analysis import Analysis, analyse
from equipoise.statistics.binormal import Cohort, draw
from equipoise.statistics.criterion import criterion
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.families import Decision, decisions
from equipoise.statistics.panel import Fold, Panel
from equipoise.statistics.power import components, patients_needed
from equipoise.statistics.verdict import Question

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Outcome = Callable[[np.random.Generator, "Design", Array], Panel]


@dataclass(frozen=True)
class Design:
    """One design: arms with their numbers of runs and the spread between their runs, and a kind of outcome.

    endpoint: what is judged. margin: of equivalence; an arm that is worse by exactly this much must not be called
    equivalent more often than stated. control: only comparisons with the first arm.
    """

    name: str
    seeds: tuple[int, ...]
    spread: tuple[float, ...]
    outcome: Outcome
    patients: int = 200
    endpoint: str = "score"
    margin: float = 0.03
    control: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The arms, in order."""
        return tuple(f"arm{k}" for k in range(len(self.seeds)))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The family of comparisons."""
        if self.control:
            return [(name, self.names[0]) for name in self.names[1:]]
        return list(combinations(self.names, 2))

    @property
    def arm(self) -> Codes:
        """The arm of each column (columns,)."""
        return np.repeat(np.arange(len(self.seeds)), self.seeds)

    def effects(self, stream: np.random.Generator) -> Array:
        """Draw what every run adds to its arm's value (columns, 1)."""
        spread = np.array(self.spread)[self.arm]
        return (spread * stream.standard_normal(len(spread)))[:, None]


@dataclass(frozen=True)
class Rates:
    """Shares over trials of one design.

    winners: trials with a false winner; equivalent: trials in which an arm that is worse by the margin is called
    equivalent; coverage: of the 95 % interval, mean over pairs with its smallest value; judged: comparisons neither
    refused nor withheld because of failures that nobody saw, which the other rates leave out of account; power:
    comparisons that found a true difference of the margin.
    """

    winners: float
    equivalent: float
    coverage: float
    lowest: float
    judged: float
    power: float


def rates(design: Design, trials: int, seed: int = 0) -> Rates:
    """Repeat the design without a difference, and with the last arm worse by the margin; two streams of trials."""
    equal = _repeated(design, trials, seed, 0.0)
    apart = _repeated(design, trials, seed + 1, design.margin)
    last = np.array([design.names[-1] in pair for pair in design.pairs])
    verdicts = equal.verdicts
    judged = verdicts != "refused"
    covered = [float(equal.covered[judged[:, k], k].mean()) for k in range(len(last)) if judged[:, k].any()]
    return Rates(
        winners=float(np.isin(verdicts, ("a_better", "b_better")).any(axis=1).mean()),
        equivalent=float((apart.verdicts[:, last] == "equivalent").any(axis=1).mean()),
        coverage=float(np.mean(covered)) if covered else float("nan"),
        lowest=min(covered, default=float("nan")),
        judged=float((judged & ~equal.withheld).mean()),
        power=float(np.isin(apart.verdicts[:, last], ("a_better", "b_better")).mean()),
    )


@dataclass(frozen=True)
class _Trials:
    """Verdicts of the tests, whether the interval covered no difference, and whether a guard withheld the verdict.

    All are (trials, pairs).
    """

    verdicts: NDArray[np.str_]
    covered: NDArray[np.bool_]
    withheld: NDArray[np.bool_]


def _repeated(design: Design, trials: int, seed: int, shift: float) -> _Trials:
    """Judge trials in which the last arm's value is lower by `shift`."""
    stream = np.random.default_rng([seed, *(ord(letter) for letter in design.name)])
    verdicts = np.empty((trials, len(design.pairs)), dtype="U16")
    covered, withheld = np.zeros(verdicts.shape, dtype=bool), np.zeros(verdicts.shape, dtype=bool)
    for trial in range(trials):
        for k, decided in enumerate(decided_trial(design, stream, shift)):
            verdicts[trial, k] = "refused"
            if isinstance(decided, Decision):
                verdicts[trial, k] = decided.withheld or decided.verdict
                withheld[trial, k] = decided.withheld is not None
                covered[trial, k] = decided.evidence.interval[0] <= 0 <= decided.evidence.interval[1]
    return _Trials(verdicts, covered, withheld)


def decided_trial(design: Design, stream: np.random.Generator, shift: float = 0.0) -> list[object]:
    """Draw one trial whose last arm is lower by `shift`, and return the decision (or refusal) on every pair."""
    question = Question(design.margin, 0.05, 0.95, "primary", frozenset(), patients_known=True, shared_seeds=False)
    return list(decisions(analysed_trial(design, stream, shift), design.pairs, question).values())


def analysed_trial(design: Design, stream: np.random.Generator, shift: float = 0.0) -> Analysis:
    """Draw one trial and analyse its endpoint."""
    shifts = np.where(design.arm == len(design.seeds) - 1, -shift, 0.0)[:, None]
    panel = design.outcome(stream, design, shifts)
    endpoint = endpoint_named(design.endpoint, list(panel.folds[0].metrics), panel.classes)
    positive = 1 if endpoint.by_class and not endpoint.classes_alike else None
    return analyse(panel, endpoint, positive)


def power_at_margin(design: Design, trials: int, seed: int = 0) -> float:
    """Return the share of comparisons with the last arm, worse by the margin, that find it so."""
    verdicts = _repeated(design, trials, seed, design.margin).verdicts
    last = np.array([design.names[-1] in pair for pair in design.pairs])
    return float(np.isin(verdicts[:, last], ("a_better", "b_better")).mean())


def family_error(design: Design, trials: int, seed: int = 0) -> float:
    """Return the share of trials without any difference in which some arm is called better."""
    verdicts = _repeated(design, trials, seed, 0.0).verdicts
    return float(np.isin(verdicts, ("a_better", "b_better")).any(axis=1).mean())


def of_values(design: Design, values: Array, patient: Codes | None = None) -> Panel:
    """Return a panel of a per-case metric from values (columns, cases)."""
    cases = values.shape[1]
    patient = np.arange(cases) if patient is None else patient
    fold = Fold(
        0, np.arange(cases).astype(str), patient, np.full(cases, -1), np.empty((len(values), cases, 0)),
        {design.endpoint: values},
    )  # fmt: skip
    return Panel(*_columns(design), (fold,), (), int(patient.max()) + 1, cases)


def _columns(design: Design) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the arm and the seed of each column."""
    arm = tuple(design.names[k] for k in design.arm)
    return arm, tuple(seed for count in design.seeds for seed in range(count))


def _shared(
    stream: np.random.Generator, design: Design, cases: int, parts: Sequence[float] | Array, skewed: bool
) -> Array:
    """Draw effects of cases (columns, cases): shared by all, by the runs of an arm, and each run's own."""
    sizes = (1, len(design.seeds), len(design.arm))
    draws = [
        stream.standard_exponential((n, cases)) - 1 if skewed else stream.standard_normal((n, cases)) for n in sizes
    ]
    return parts[0] * draws[0] + parts[1] * draws[1][design.arm] + parts[2] * draws[2]


PARTS = (0.08, 0.02, 0.03)
"""Spread of a case's value that all runs share, that the runs of an arm share, and each run's own."""


@dataclass(frozen=True)
class Values:
    """A per-case metric: normal or `skewed` effects; `step`: values are rounded to it (ties).

    most_cases: patients have 1 to so many cases, half of whose variance is the patient's. noise multiplies each run's
    own part.
    """

    skewed: bool = False
    step: float = 0.0
    most_cases: int = 1
    noise: float = 1.0

    def __call__(self, stream: np.random.Generator, design: Design, shift: Array) -> Panel:
        """Draw one trial."""
        parts = (PARTS[0], PARTS[1], self.noise * PARTS[2])
        if self.most_cases == 1:
            patient, values = None, _shared(stream, design, design.patients, parts, self.skewed)
        else:
            count = stream.integers(1, self.most_cases + 1, design.patients)
            patient = np.repeat(np.arange(design.patients), count)
            own = _shared(stream, design, len(patient), parts, self.skewed)
            values = (own + _shared(stream, design, design.patients, parts, self.skewed)[:, patient]) / np.sqrt(2)
        values = 0.8 + values + shift + design.effects(stream)
        return of_values(design, np.round(values / self.step) * self.step if self.step else values, patient)


@dataclass(frozen=True)
class Distances:
    """A distance in mm, log-normal over cases with this spread of its logarithm: heavy tails, lower is better."""

    log_spread: float = 0.8

    def __call__(self, stream: np.random.Generator, design: Design, shift: Array) -> Panel:
        """Draw one trial; the shift is in mm."""
        parts = self.log_spread * np.array([0.9, 0.3, 0.3])
        logs = _shared(stream, design, design.patients, parts, skewed=False)
        values = 6 * np.exp(logs - (parts**2).sum() / 2)
        return of_values(design, np.maximum(values - shift + design.effects(stream) + 2, 0.0))


@dataclass(frozen=True)
class Failures:
    """A Dice value with failures (0) in this share of cases, half of which are difficult for all runs alike."""

    share: float

    def __call__(self, stream: np.random.Generator, design: Design, shift: Array) -> Panel:
        """Draw one trial."""
        good = (
            0.8 + 0.6 * _shared(stream, design, design.patients, PARTS, skewed=False) + design.effects(stream) + shift
        )
        difficulty = (stream.standard_normal(design.patients) + stream.standard_normal(good.shape)) / np.sqrt(2)
        return of_values(design, np.where(difficulty < ndtri(self.share), 0.0, np.clip(good, 0.0, 1.0)))


@dataclass(frozen=True)
class Counts:
    """A score of few lesions per case: hits among 1 to 4 of them, so values are few and tied."""

    rate: float = 0.8

    def __call__(self, stream: np.random.Generator, design: Design, shift: Array) -> Panel:
        """Draw one trial."""
        lesions = stream.integers(1, 5, design.patients)
        difficulty = 0.1 * stream.standard_normal(design.patients)
        chance = np.clip(self.rate + difficulty + shift + design.effects(stream), 0.0, 1.0)
        return of_values(design, stream.binomial(lesions, chance) / lesions)


ONE_CASE = Cohort(most_lesions=1)


@dataclass(frozen=True)
class Scores:
    """Class scores of the binormal model; the shift and the spread between runs are those of the true AUC."""

    auc: float = 0.85
    cohort: Cohort = ONE_CASE

    def __call__(self, stream: np.random.Generator, design: Design, shift: Array) -> Panel:
        """Draw one trial."""
        arms, most = len(design.seeds), max(design.seeds)
        lower = np.array([shift[design.arm == k][0, 0] for k in range(arms)])
        made = draw(
            stream, design.patients, list(self.auc + lower), most, np.array(design.spread)[:, None], self.cohort
        )
        keep = np.concatenate([np.arange(count) + k * most for k, count in enumerate(design.seeds)])
        positive = expit(1.7 * made.scores[keep] - 2.0)
        cases = len(made.truth)
        fold = Fold(
            0, np.arange(cases).astype(str), made.patient, made.truth.astype(np.int64),
            np.stack([1 - positive, positive], axis=2), {},
        )  # fmt: skip
        return Panel(*_columns(design), (fold,), ("no", "yes"), design.patients, cases)


@dataclass(frozen=True)
class Clustered:
    """Class scores of patients with these `sizes`, of whom the first `positives` are positive in all their cases.

    Much of a case's score is its patient's, shared by all arms, by the runs of an arm (`agreement`), or by nothing. The
    shift moves the positive cases by 4 times itself, in units of the score.
    """

    sizes: tuple[int, ...]
    positives: int
    agreement: float = 0.6
    gain: float = 1.2

    def __call__(self, stream: np.random.Generator, design: Design, shift: Array) -> Panel:
        """Draw one trial."""
        patients = len(self.sizes)
        patient = np.repeat(np.arange(patients), self.sizes)
        cases, truth = len(patient), (patient < self.positives).astype(np.int64)
        common = 0.6 * stream.standard_normal(patients)[patient] + 0.4 * stream.standard_normal(cases)
        arms = len(design.seeds)
        own = self.agreement * stream.standard_normal((arms, patients))[:, patient]
        own += 0.3 * stream.standard_normal((arms, cases))
        effect = self.gain + 4 * shift + design.effects(stream)
        run = 0.1 * stream.standard_normal((len(design.arm), cases))
        positive = expit(effect * (truth - 0.5) + common + own[design.arm] + run)
        fold = Fold(
            0, np.arange(cases).astype(str), patient, truth, np.stack([1 - positive, positive], axis=2), {},
        )  # fmt: skip
        return Panel(*_columns(design), (fold,), ("no", "yes"), patients, cases)


@dataclass(frozen=True)
class CrossValidated:
    """Linear discriminants of two equally informative sets of features, trained and tested in folds; arms 0 and 1.

    Every run disturbs the weights by `noise` of their size, so runs of one arm differ.
    """

    folds: int = 5
    repeats: int = 1
    noise: float = 0.3

    def __call__(self, stream: np.random.Generator, design: Design, shift: Array) -> Panel:
        """Draw one trial; a shift makes the last arm's features less informative."""
        n = design.patients
        truth = (stream.random(n) < 0.5).astype(np.int64)
        strength = np.array([[[0.68]], [[0.68 + 3.2 * float(shift[-1, 0])]]])
        features = stream.standard_normal((2, n, 5)) + strength * truth[:, None]
        parts = [self._fold(stream, design, features, truth, number) for number in self._numbers(stream, n)]
        return Panel(*_columns(design), tuple(parts), ("no", "yes"), n, n)

    def _numbers(self, stream: np.random.Generator, n: int) -> list[tuple[int, NDArray[np.bool_]]]:
        """Return each fold's number and its test cases (n,)."""
        groups = [stream.permutation(n) % self.folds for _ in range(self.repeats)]
        return [(r * self.folds + f, group == f) for r, group in enumerate(groups) for f in range(self.folds)]

    def _fold(
        self, stream: np.random.Generator, design: Design, features: Array, truth: Codes,
        numbered: tuple[int, NDArray[np.bool_]],
    ) -> Fold:  # fmt: skip
        number, test = numbered
        scores = []
        for own, count in zip(features, design.seeds, strict=True):
            weight = _discriminant(own[~test], truth[~test])
            runs = weight + self.noise * np.abs(weight).mean() * stream.standard_normal((count, 5))
            scores.append(own[test] @ runs.T)
        positive = expit(np.concatenate(scores, axis=1).T)
        case = np.flatnonzero(test)
        return Fold(number, case.astype(str), case, truth[test], np.stack([1 - positive, positive], axis=2), {})


def _discriminant(features: Array, truth: Codes) -> Array:
    """Return the weights of Fisher's linear discriminant."""
    groups = [features[truth == label] for label in (0, 1)]
    within = sum((g - g.mean(axis=0)).T @ (g - g.mean(axis=0)) for g in groups)
    return np.asarray(np.linalg.solve(within / (len(truth) - 2), groups[1].mean(axis=0) - groups[0].mean(axis=0)))


def sample_size(design: Design, pilot: int = 20_000, runs: int = 12) -> int | None:
    """Return the patients that the product asks for, so that a difference of the margin is found in 80 % of trials.

    The variances over patients come from one large pilot with that difference, because an area varies more the lower it
    is; the variance between runs is the design's own.
    """
    large = replace(design, patients=pilot, seeds=(runs,) * len(design.seeds), spread=(0.0,) * len(design.seeds))
    analysis = analysed_trial(large, np.random.default_rng(99), design.margin)
    parts = replace(components(analysis.arms, 0, len(design.seeds) - 1), seed=float(np.mean(np.square(design.spread))))
    places = [(design.names.index(a), design.names.index(b)) for a, b in design.pairs]
    rule = criterion(places, arms=len(design.seeds))
    return patients_needed(parts, min(design.seeds), design.margin, rule)
