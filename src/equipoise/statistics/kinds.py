"""The record of an endpoint, and the kinds of metrics, which define its influence and its interval."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.statistics.influence import (
    Influence,
    candidate_influence,
    jackknife_influence,
    mean_influence,
    need_both_classes,
    one_versus_rest,
    rank_influence,
    recall_influence,
)
from equipoise.statistics.intervals import Bounds, auc_interval, logit_interval, mean_interval, quantile, rate_interval
from equipoise.statistics.jackknife import precision_influence
from equipoise.statistics.panel import Fold

_EDGE = 0.01  # a corrected estimate stays inside (0, 1), where the logit exists
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """One arm's mean over seeds, with the quantities that its interval needs.

    `variance` includes clusters of cases and seeds, `independent` neither. `events` counts patients of the rarer class
    (None where classes do not limit the endpoint; `few`: too few of them), `cases` the positive and negative cases, for
    an average over `several` classes those of the rarest and of the others. `bias` of the mean and `inflation` of its
    variance come from the jackknife, for kinds that ask for it.
    """

    mean: float
    variance: float
    independent: float
    df: float
    seeds: int
    patients: int
    events: int | None
    few: bool
    cases: tuple[int, int]
    several: bool
    bias: float = 0.0
    inflation: float = 1.0

    @property
    def se(self) -> float:
        """The standard error of the mean."""
        return float(np.sqrt(self.variance))


class Kind(ABC):
    """The way in which a metric is formed from cases, which decides its influence function and its interval.

    The plain kinds are defined below as `Kind.RANK`, `Kind.RATE` and so on; records with their own method use a
    subclass.
    """

    RANK: ClassVar["Kind"]  # average precision, sensitivity at a specificity: pairs of cases decide
    RATE: ClassVar["Kind"]  # a proportion of cases, overall or within a class
    MEAN: ClassVar["Kind"]  # a mean of per-case values
    FREE: ClassVar["Kind"]  # candidates anywhere in a scan: CPM, average precision of detection: patient jackknife
    POOLED: ClassVar["Kind"]  # a user's function of all cases at once: patient jackknife

    typical_case: ClassVar[bool] = False
    """Whether a median over cases and a bootstrap are reported with the mean, because per-case values may be skewed."""
    suspects_constants: ClassVar[bool] = False
    """Whether equal scores in all cases look like a result (an AUC of one half) although nothing was learned."""
    jackknifed: ClassVar[bool] = False
    """Whether the interval needs the jackknife's bias and variance."""
    ends: ClassVar[bool] = False
    """Whether the variance vanishes towards the ends of the range, so that small groups may seem to have none."""
    source: ClassVar[str] = "influence"
    """The source of the covariance over patients: "placements", "jackknife" or "influence"."""

    @abstractmethod
    def influence(self, endpoint: "Endpoint", fold: Fold, positive: int | None, n_patients: int) -> Influence:
        """Return the influence of all patients within one fold, for all columns; `positive` is a class index."""

    @abstractmethod
    def interval(self, endpoint: "Endpoint", estimate: Estimate) -> tuple[Bounds, Bounds | None]:
        """Return the interval of one arm, and a second one to report with it where there is one."""

    def hits(self, endpoint: "Endpoint", fold: Fold, positive: int | None) -> tuple[Array, Mask] | None:  # noqa: ARG002
        """Return the cases that count for a rate (columns, n), of those in a mask (n,); None for what is no rate."""
        return None

    def value(self, endpoint: "Endpoint", fold: Fold, positive: int | None) -> float:
        """Return the metric of the fold's first column alone."""
        return float(self.influence(endpoint, fold, positive, int(fold.patient.max()) + 1).value[0])


class _Mean(Kind):
    typical_case = True

    def influence(self, endpoint: "Endpoint", fold: Fold, positive: int | None, n_patients: int) -> Influence:  # noqa: ARG002
        """Return the influence of each patient on the mean over cases."""
        every = np.ones(len(fold.case), dtype=bool)
        return mean_influence(endpoint.case_values(fold), (every,), fold.patient, n_patients)

    def interval(self, endpoint: "Endpoint", estimate: Estimate) -> tuple[Bounds, Bounds | None]:
        """Return the interval of a mean."""
        return mean_interval(estimate.mean, estimate.se, estimate.df, endpoint.low, endpoint.top), None


class Rate(_Mean):
    """A share of cases, with Wilson's interval."""

    typical_case = False
    ends = True

    def hits(self, endpoint: "Endpoint", fold: Fold, positive: int | None) -> tuple[Array, Mask] | None:  # noqa: ARG002
        """Return the cases that count, of all."""
        return endpoint.case_values(fold), np.ones(len(fold.case), dtype=bool)

    def interval(self, endpoint: "Endpoint", estimate: Estimate) -> tuple[Bounds, Bounds | None]:
        """Return the interval of a share by the adjusted Wilson method."""
        counted = self._counted(estimate.cases)
        small = (estimate.events or estimate.patients) if endpoint.by_class else estimate.patients
        # Wilson's method uses the normal z. With few runs the variance is uncertain, so it is raised by the squared
        # ratio of Student's quantile to z.
        few_runs = (quantile(0.975, estimate.df) / quantile(0.975, np.inf)) ** 2
        return rate_interval(estimate.mean, estimate.variance * few_runs, counted, min(counted, small)), None

    def _counted(self, cases: tuple[int, int]) -> int:
        """Return the number of cases in the denominator of the rate."""
        return sum(cases)


class Balanced(Rate):
    """A share whose cases differ from one quantity to the next, as a mean of recalls."""

    def hits(self, endpoint: "Endpoint", fold: Fold, positive: int | None) -> tuple[Array, Mask] | None:  # noqa: ARG002
        """Return None: there is no one set of cases of which it is the share."""
        return None


class ClassRecall(Balanced):
    """The mean over all classes of the share of a class's cases that are classified correctly."""

    def influence(self, endpoint: "Endpoint", fold: Fold, positive: int | None, n_patients: int) -> Influence:  # noqa: ARG002
        """As `Kind.influence`; raises PredictionError where a class has no test case."""
        masks = tuple(fold.truth == index for index in range(fold.scores.shape[2]))
        right = fold.scores.argmax(axis=2) == fold.truth
        return recall_influence(right, masks, endpoint.name, fold, n_patients)

    def interval(self, endpoint: "Endpoint", estimate: Estimate) -> tuple[Bounds, Bounds | None]:
        """As `Kind.interval`; the rarest class limits the degrees of freedom as well as the size."""
        return super().interval(
            endpoint, replace(estimate, df=min(estimate.df, max((estimate.events or 2) - 1.0, 1.0)))
        )

    def _counted(self, cases: tuple[int, int]) -> int:
        # A rare class that is all right by chance has no variance, and all cases would seem to support the mean. Of
        # equal recalls the mean over two classes is as certain as a share of this many cases.
        return max(int(4 / sum(1 / max(side, 1) for side in cases)), 1)


class _Rank(Balanced):
    suspects_constants = True

    def influence(self, endpoint: "Endpoint", fold: Fold, positive: int | None, n_patients: int) -> Influence:
        """As `Kind.influence`; without a positive class, the mean over each class against the rest."""
        if positive is None:
            return one_versus_rest(fold, n_patients, endpoint.needed_function())
        truth = fold.truth == positive
        need_both_classes(truth, fold)
        if self.jackknifed:
            return precision_influence(fold, positive, n_patients)
        return rank_influence(fold.scores[:, :, positive], truth, fold.patient, n_patients, endpoint.needed_function())

    def interval(self, endpoint: "Endpoint", estimate: Estimate) -> tuple[Bounds, Bounds | None]:
        """As `Kind.interval`: on the logit scale, or where that is undefined as for a rate."""
        if 0 < estimate.mean < 1 and estimate.variance > 0:
            return Bounds(*logit_interval(estimate.mean, estimate.se, estimate.df), "logit"), None
        return super().interval(endpoint, estimate)


class Precision(_Rank):
    """Average precision, whose estimate is too high and too sure where positive cases are few."""

    jackknifed = True

    def interval(self, endpoint: "Endpoint", estimate: Estimate) -> tuple[Bounds, Bounds | None]:
        """As `Kind.interval`: on the logit scale around the estimate and around it without its bias, the wider ends."""
        if not (0 < estimate.mean < 1 and estimate.variance > 0):
            return super().interval(endpoint, estimate)
        df = min(estimate.df, max((estimate.events or 2) - 1.0, 1.0))
        se = float(np.sqrt(estimate.variance * estimate.inflation))
        centre = min(max(estimate.mean - estimate.bias, _EDGE), 1 - _EDGE)
        lows, highs = zip(*(logit_interval(value, se, df) for value in (estimate.mean, centre)), strict=True)
        return Bounds(min(lows), max(highs), "logit with jackknife"), None


class Area(_Rank):
    """The area under the ROC curve, whose interval is Newcombe's for one run and few events."""

    source = "placements"

    def interval(self, endpoint: "Endpoint", estimate: Estimate) -> tuple[Bounds, Bounds | None]:  # noqa: ARG002
        """As `Kind.interval`: Newcombe's method and the logit; seeds and events decide which comes first."""
        mean, variance = estimate.mean, estimate.variance
        df = estimate.df if estimate.seeds > 1 else max((estimate.events or 2) - 1.0, 1.0)
        # Newcombe's formula needs the sizes of one class and its rest, so an average over classes uses the logit if
        # possible.
        if estimate.several and not estimate.few and 0 < mean < 1 and variance > 0:
            return Bounds(*logit_interval(mean, estimate.se, df), "logit"), None
        positives, negatives = estimate.cases
        return auc_interval(
            mean, variance, estimate.independent, positives, negatives, df, seeds=estimate.seeds, few=estimate.few
        )


class _Free(_Rank):
    suspects_constants = False
    source = "jackknife"

    def influence(self, endpoint: "Endpoint", fold: Fold, positive: int | None, n_patients: int) -> Influence:  # noqa: ARG002
        """Return the jackknife over patients of lists of candidates."""
        return candidate_influence(fold, endpoint.needed_function(), n_patients)


class _Pooled(_Mean):
    typical_case = False

    def influence(self, endpoint: "Endpoint", fold: Fold, positive: int | None, n_patients: int) -> Influence:  # noqa: ARG002
        """Return the jackknife over patients of a function of all cases."""
        return jackknife_influence(fold, endpoint.needed_function(), endpoint.name, n_patients)

    def value(self, endpoint: "Endpoint", fold: Fold, positive: int | None) -> float:  # noqa: ARG002
        """Return the function's value over all cases."""
        return float(endpoint.needed_function()(fold.truth, fold.scores[0]))


Kind.RANK, Kind.RATE, Kind.MEAN, Kind.FREE, Kind.POOLED = _Rank(), Rate(), _Mean(), _Free(), _Pooled()


@dataclass(frozen=True)
class Endpoint:
    """A metric. `low` and `high` are its possible values, `unit` that of its values ("" for none).

    display: its name for readers, without unit and region. stem: the beginning of the names that it applies to, e.g.
    "dice" for "dice_core"; by default the name itself. summary: one sentence for the documentation.
    needs: its input: "scores" of classes, "candidates", a column of "cases", or all predictions by a user's "function".
    compute: its function, by kind: RANK (score (n,), positive (n,)) -> value, influence (n,); MEAN and RATE (scores
    (columns, n, classes), truth (n,)) -> values (columns, n), None for a per-case column; FREE of a scan's Marks;
    POOLED (truth (n,), scores (n, classes)) -> value.
    by_class: rare classes limit it. classes_alike: there is no positive class. probabilities: scores must be
    probabilities. display_of_several, high_of_several: `display` and `high` with more than two classes.
    companions: stems of endpoints to report with it. fails_below: a case with a smaller value is a failure and not a
    poor result; fewest_cases: with fewer, the interval of its mean is descriptive only. failed: the value
    of a failed case, where the range has no end; failed_known: whether the caller stated it; reach: the largest value
    in these images, known from a rule that finds nothing. share_of, share_below: the share of cases in
    which the metric of that stem is smaller. direction_known: False where the better direction is unknown.
    distance_from_zero: values have a sign, and a case counts by their size.
    chance: "prevalence" where that is the value of guessing; guessed: that value, where it is a number of the
    endpoint itself. references: keys of `report.text.references`, of its estimator. rules: codes of sentences for the
    methods paragraph. curve: the figure that shows its values. in_contrast: shown with the primary endpoint where a
    split by case is contrasted with that by patient.
    decimals: digits in a table of cases (None: not shown there), under the heading `short`.
    """

    name: str
    kind: Kind
    higher_is_better: bool = True
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    display: str = ""
    stem: str = ""
    summary: str = ""
    needs: str = "cases"
    compute: Callable[..., Any] | None = None
    by_class: bool = False
    classes_alike: bool = False
    probabilities: bool = False
    display_of_several: str = ""
    high_of_several: float | None = None
    companions: tuple[str, ...] = ()
    fails_below: float | None = None
    fewest_cases: int = 0
    failed: float | None = None
    failed_known: bool = False
    reach: float | None = None
    share_of: str = ""
    share_below: float = 0.0
    direction_known: bool = True
    distance_from_zero: bool = False
    chance: str = ""
    guessed: float | None = None
    references: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    curve: str = ""
    in_contrast: bool = False
    decimals: int | None = None
    short: str = ""

    @property
    def top(self) -> float:
        """The largest value that a case can have, in these images where that is known."""
        return self.high if self.reach is None else min(self.high, self.reach)

    @property
    def width(self) -> float:
        """The largest difference that two arms can have."""
        return self.top - self.low

    @property
    def sign(self) -> int:
        """+1 where a larger value is better, else -1."""
        return 1 if self.higher_is_better else -1

    @property
    def beginning(self) -> str:
        """The stem, or the name where no stem is stated."""
        return self.stem or self.name

    @property
    def region(self) -> str:
        """The part of the name after the stem: "_core" of "dice_core"."""
        return self.name.removeprefix(self.beginning)

    @property
    def label(self) -> str:
        """The endpoint's name in a sentence: "HD95 core"."""
        return self._named(self.display)

    @property
    def heading(self) -> str:
        """The endpoint's name at a column or an axis, with its unit: "HD95 (mm) core"."""
        if not (self.unit and self.display):
            return self.label
        inside = self.display.endswith(")")
        return self._named(f"{self.display[:-1]}, {self.unit})" if inside else f"{self.display} ({self.unit})")

    def counted_in(self, grid_unit: str) -> Self:
        """Return the endpoint as a cohort without spacings has it, whose values were computed with a spacing of 1.

        grid_unit: "pixels" or "voxels"; "" where an audited table does not say what its lengths are.
        """
        unit = {"mm": grid_unit, "ml": f"1,000 {grid_unit}" if grid_unit else ""}.get(self.unit, self.unit)
        return replace(self, unit=unit if grid_unit else "")

    def _named(self, words: str) -> str:
        if ":" in self.name:
            return self.name.rpartition(":")[2].replace("_", " ")
        if not words or (self.region and not self.region.startswith("_")):
            return self.name.replace("_", " ")
        return words + self.region.replace("_", " ")

    def column(self, metrics: Sequence[str]) -> str | None:
        """Return the endpoint's per-case column; a failure rate uses the column of the metric whose failures it counts.

        None for an endpoint of class scores or candidates.
        """
        if self.name in metrics:
            return self.name
        source = f"{self.share_of}{self.region}"
        return source if self.share_of and source in metrics else None

    def companion_names(self) -> list[str]:
        """Return the names of the endpoints to report with it, of the same region."""
        return [f"{stem}{self.region}" for stem in self.companions]

    def needed_function(self) -> Callable[..., Any]:
        """Return the endpoint's function; raises PredictionError where it has neither a column nor a function."""
        if self.compute is None:
            raise PredictionError(
                f"{self.name!r} has no column in the predictions and no function; give it one of them"
            )
        return self.compute

    def case_values(self, fold: Fold) -> Array:
        """Return the endpoint of each case (columns, n), for endpoints that are means over cases."""
        column = self.column(list(fold.metrics))
        if column is None:
            return np.asarray(self.needed_function()(fold.scores, fold.truth))
        values = self.judged(fold.metrics[column])
        return values if column == self.name else (values < self.share_below).astype(float)

    def judged(self, values: Array) -> Array:
        """Return the values of a column as they are compared: their size, where the sign is no merit."""
        return np.abs(values) if self.distance_from_zero else values

    @property
    def best(self) -> float:
        """The best possible value."""
        return 0.0 if self.distance_from_zero else self.high if self.higher_is_better else self.low

    def influence(self, fold: Fold, positive: int | None, n_patients: int) -> Influence:
        """Return all patients' influence on the endpoint within one fold, for all columns; see `Kind.influence`."""
        return self.kind.influence(self, fold, positive, n_patients)
