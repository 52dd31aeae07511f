"""What a task is: the facts that the plan, the split, the training and the report ask for, in one record.

The record holds no torch and imports nothing above it: what it says of a cohort, its functions say from the few
attributes in `CohortLike`. What a task does with pixels and networks lies in two objects that the record names as
"module:attribute": `preparation`, which the first process of a trial uses and which needs no torch, and `training`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Structures = dict[str, tuple[int, ...]]
LABEL, MASK, FINDINGS = "label", "mask", "findings"
"""What a case's truth may be: a class, a class per voxel, or the connected parts of such a mask, each by itself."""


class CaseLike(Protocol):
    """What a task may ask of a case."""

    @property
    def id(self) -> str:
        """The case's name."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What is known beside the pixels."""


class CohortLike(Protocol):
    """What a task may ask of a cohort; see `equipoise.cohorts.Cohort`."""

    @property
    def cases(self) -> Sequence[CaseLike]:
        """The cases in their order."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of labels or masks."""

    @property
    def regions(self) -> Mapping[str, tuple[int, ...]]:
        """Overlapping structures as sets of mask values."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each case, -1 where it has none."""

    @property
    def size_attribute(self) -> str | None:
        """The attribute of the trivial rule on size."""

    def class_counts(self, indices: Iterable[int] | None = None) -> dict[str, int]:
        """Cases of each class."""


class SamplesLike(Protocol):
    """What a task may ask of prepared cases; see `equipoise.training.data.samples.Samples`."""

    @property
    def findings(self) -> Sequence[Any]:
        """What is in each case, where the truth is findings."""


def one_stratum(cohort: CohortLike) -> NDArray[np.int64]:
    """All cases alike: the split balances patients and cases alone."""
    return np.zeros(len(cohort.cases), dtype=np.int64)


def no_counts(_cohort: CohortLike, _indices: Iterable[int] | None = None) -> dict[str, int]:
    """Nothing is counted by class."""
    return {}


def no_structures(_cohort: CohortLike) -> Structures:
    """The truth holds no structures."""
    return {}


def cohort_classes(cohort: CohortLike) -> tuple[str, ...]:
    """The network tells apart what the cohort does."""
    return cohort.classes


def nothing_to_check(_cohort: CohortLike) -> None:
    """Every cohort serves."""


def nothing_lacking(_samples: SamplesLike) -> str:
    """Every part can be learnt from."""
    return ""


@dataclass(frozen=True)
class Task:
    """One kind of question asked of images; a user's own is named in the protocol as `module:attribute`.

    name: the word for it in sentences.
    truth: what every case carries: `LABEL`, `MASK`, `FINDINGS`, or a word of its own.
    network: what a network with a setting `task` is built for: "classification" (one answer a case) or "segmentation"
        (one a voxel).
    preparation, training: the two halves that work on pixels, as "module:attribute"; see
        `equipoise.training.preparation.TaskPreparation` and `equipoise.training.tasks.TaskTraining`.
    losses, targets: what `training.loss` and `training.targets` may be.
    defaults: of the protocol's sections, where it does not state these keys.
    strata: the number of each case's stratum (n,), in whose shares a split deals the cases out.
    counts: cases by name of class, of all cases or of some; empty where there are no classes. The names are those of
        the strata, in order.
    structures: what the masks hold by name, as sets of their values.
    network_classes: the outputs of the network by name.
    check: raises CohortError for a cohort that could not be judged.
    lacking: what no prepared case of a part has, so that it teaches nothing: the end of "no train case …"; else empty.
    endpoints: records (`equipoise.statistics.endpoints.Endpoint`) of metrics of its own, a column of the predictions
        each; endpoint_names: the only ones that it offers (empty: all that its predictions allow).
    columns: of every case's row in the predictions, beside the metrics of structures.
    unplannable: why nobody can say beforehand what a trial will show; empty where that can be computed.
    explained: whether maps of example cases show what speaks for their class.
    whole_scans: whether a case is a whole scan even where the cohort is one of lesions.
    """

    name: str
    truth: str
    network: str
    preparation: str
    training: str
    losses: tuple[str, ...]
    targets: tuple[str, ...] = ("classes",)
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    strata: Callable[[CohortLike], NDArray[np.int64]] = one_stratum
    counts: Callable[..., dict[str, int]] = no_counts
    structures: Callable[[CohortLike], Structures] = no_structures
    network_classes: Callable[[CohortLike], tuple[str, ...]] = cohort_classes
    check: Callable[[CohortLike], None] = nothing_to_check
    lacking: Callable[[SamplesLike], str] = nothing_lacking
    endpoints: tuple[Any, ...] = ()
    endpoint_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    unplannable: str = ""
    explained: bool = False
    whole_scans: bool = False

    @property
    def has_labels(self) -> bool:
        """Whether every case has one class."""
        return self.truth == LABEL

    @property
    def has_masks(self) -> bool:
        """Whether every case has a mask, whatever is made of it."""
        return self.truth in (MASK, FINDINGS)

    @property
    def has_findings(self) -> bool:
        """Whether the connected parts of the masks are sought one by one, by candidates."""
        return self.truth == FINDINGS

    @property
    def answers_voxels(self) -> bool:
        """Whether the network answers every voxel, not the case."""
        return self.network == "segmentation"

    def judged_structures(self, cohort: CohortLike) -> Structures:
        """The structures whose masks are compared voxel by voxel; none where findings are sought in them."""
        return self.structures(cohort) if self.truth == MASK else {}
