"""The values of a judgement, which the report prints and other programs read."""

from dataclasses import dataclass
from typing import Literal

from equipoise.statistics.posterior import Posterior
from equipoise.statistics.power import Needed
from equipoise.statistics.ranking import Rank
from equipoise.statistics.reasons import Reason
from equipoise.statistics.wins import Wins

Verdict = Literal["a_better", "b_better", "equivalent", "not_enough_data", "single_run", "refused"]
NAN = float("nan")


@dataclass(frozen=True)
class Interval:
    """One arm's endpoint with its 95 % interval; NaN and a `reason` where it cannot be computed.

    `seed_sd` is the standard deviation over training runs (NaN for one run); `by_seed` holds each run's value;
    `beside` is a second interval by the method in `beside_method`, where there is one. `n_events` counts the patients
    of the rarer class, for endpoints that rare classes limit.
    """

    estimate: float
    low: float
    high: float
    seed_sd: float
    n_patients: int
    n_cases: int
    method: str
    n_events: int | None = None
    se: float = NAN
    df: float = NAN
    by_seed: tuple[tuple[int, float], ...] = ()
    beside: tuple[float, float] | None = None
    beside_method: str = ""
    reason: Reason | None = None


@dataclass(frozen=True)
class TypicalCase:
    """The difference in the typical case: median paired difference and Wilcoxon's p (cases as independent)."""

    median_difference: float
    wilcoxon_p: float


@dataclass(frozen=True)
class Unseen:
    """The failures of two arms that the data do not exclude.

    arm: the arm with the better mean, which fails beside the other in `seen` patients of `patients`; `failed` is the
    value of a failed case, which costs `loss`. reversing: the rate of further failures that takes the whole
    `difference`; excluded: the lowest rate that the patients exclude; shift: the difference that failures not excluded
    may take; reverses: whether that is all of it. assumed: whether another value of a failed case could be stated.
    """

    arm: str
    seen: float
    patients: int
    failed: float
    loss: float
    difference: float
    reversing: float
    excluded: float
    shift: float
    reverses: bool
    assumed: bool


@dataclass(frozen=True)
class Comparison:
    """A difference a - b in the endpoint's own unit; which is better follows from the endpoint's direction.

    `low`, `high`, `p` are of this comparison alone; `p_adjusted` and `simultaneous` hold for the whole family.
    `equivalence` is the 90 % interval and `p_equivalence` its Holm-adjusted TOST p. `p_new_data` is that of the method
    trained on new data (cross-validation only), with which `low`, `high`, `p` and the rest must agree; `fitted` and
    `p_fitted` (adjusted for the family) are about the fitted networks alone. NaN and None: not computed, for the
    `reason`.
    `about` says of what the verdict speaks: of the methods, or of these trained networks (patients alone are sampled).
    `non_inferior` names the arms shown to be worse than the other by less than the margin, if at all (simultaneous 95 %
    intervals).
    `decisive` is the interval on which the verdict rests, at `decisive_level`: where the arms are equivalent, that of
    the two one-sided tests at the level that Holm's method left them; else `simultaneous`.
    `se_patients` is shared by all runs, `se_seeds` differs between runs; of the latter, `se_runs` would remain with an
    infinite number of patients, and the rest is the interaction of patients with runs. `unseen_failures` is of means
    over cases: what the data do not exclude. `withheld` is the verdict of the tests alone, where that may undo it.
    `posterior` and `wins` are second readings of the primary comparison, on which no verdict rests. `claims` are what
    the interval of a fixed sequence shows of either arm, `confirmed` what of it stands in a secondary endpoint with a
    margin (`gatekeeping`; None elsewhere).
    """

    a: str
    b: str
    endpoint: str
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    margin: float | None
    verdict: Verdict
    reason: Reason
    patients_needed: int | None
    role: Literal["primary", "secondary"] = "primary"
    method: str = ""
    se: float = NAN
    se_patients: float = NAN
    se_seeds: float = NAN
    se_runs: float = NAN
    df: float = NAN
    simultaneous: tuple[float, float] = (NAN, NAN)
    equivalence: tuple[float, float] = (NAN, NAN)
    p_equivalence: float = NAN
    p_non_inferior: float = NAN
    p_new_data: float = NAN
    new_data: tuple[float, float] = (NAN, NAN)
    p_fitted: float = NAN
    fitted: tuple[float, float] = (NAN, NAN)
    needed: tuple[Needed, ...] = ()
    detectable: float | None = None
    detectable_by_tests: float | None = None
    typical_case: TypicalCase | None = None
    flags: tuple[Reason, ...] = ()
    unseen_failures: Unseen | None = None
    withheld: Verdict | None = None
    posterior: Posterior | None = None
    wins: Wins | None = None
    about: Literal["methods", "networks"] = "methods"
    non_inferior: tuple[str, ...] = ()
    decisive: tuple[float, float] = (NAN, NAN)
    decisive_level: float = NAN
    claims: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    confirmed: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Variance:
    """The sources of uncertainty of the primary endpoint's differences.

    `seed_sd` is the spread between training runs beyond that due to patients, pooled over arms with `seed_df` degrees
    of freedom, `seed_sd_ends` its 80 % interval; it is that of the values of runs (`run_sd`) without the part that is
    due to the patients whom each run judges differently (`own_sd`, with `own_df` degrees of freedom). `seeds_share`
    is the share of the squared standard error that infinitely many seeds would remove, and `patients_share` that which
    infinitely many patients would, on average over comparisons; both contain the interaction of patients with runs.
    `advice` states which of the two would help more.
    """

    endpoint: str
    seed_sd: float
    seed_df: int
    seeds_share: float
    patients_share: float
    advice: Reason
    run_sd: float = NAN
    own_sd: float = NAN
    own_df: int = 0
    seed_sd_ends: tuple[float, float] = (NAN, NAN)


@dataclass(frozen=True)
class Judgement:
    """The whole judgement of a trial, in the order of the arms."""

    endpoints: dict[str, dict[str, Interval]]
    comparisons: tuple[Comparison, ...]
    ranking: tuple[Rank, ...]
    warnings: tuple[Reason, ...]
    variance: Variance | None
    alpha: float
    n_patients: int
    n_cases: int
