"""The record of a task: all facts about it that the plan, the split, the training and the report need.

The record needs no torch and imports no package above it: its functions use the few attributes of `CohortLike`. The
work on pixels and networks is in two objects that the record names as "module:attribute": `preparation`, which the
first process of a trial uses without torch, and `training`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Structures = dict[str, tuple[int, ...]]
LABEL, MASK, FINDINGS = "label", "mask", "findings"
"""Kinds of truth: a class per case, a class per voxel, or the connected components of such a mask."""


class CaseLike(Protocol):
    """The attributes of a case that a task may use."""

    @property
    def id(self) -> str:
        """The case's name."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attributes of the case besides its pixels."""


class CohortLike(Protocol):
    """The attributes of a cohort that a task may use; see `equipoise.cohorts.Cohort`."""

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
        """The attribute on which the trivial size rule is fitted; None without one."""

    def class_counts(self, indices: Iterable[int] | None = None) -> dict[str, int]:
        """Count the cases of each class."""


class SamplesLike(Protocol):
    """The attributes of prepared cases that a task may use; see `equipoise.training.data.samples.Samples`."""

    @property
    def findings(self) -> Sequence[Any]:
        """The findings of each case, where the truth is findings."""


def one_stratum(cohort: CohortLike) -> NDArray[np.int64]:
    """Put all cases into one stratum: the split balances patients and cases alone."""
    return np.zeros(len(cohort.cases), dtype=np.int64)


def no_counts(_cohort: CohortLike, _indices: Iterable[int] | None = None) -> dict[str, int]:
    """Return no counts, for a task without classes."""
    return {}


def no_structures(_cohort: CohortLike) -> Structures:
    """Return no structures, for a truth without masks."""
    return {}


def cohort_classes(cohort: CohortLike) -> tuple[str, ...]:
    """Return the cohort's classes as those of the network."""
    return cohort.classes


def nothing_to_check(_cohort: CohortLike) -> None:
    """Accept every cohort."""


def nothing_lacking(_samples: SamplesLike) -> str:
    """Accept the prepared cases of every part."""
    return ""


@dataclass(frozen=True)
class Task:
    """One task on images; a user's own task is named in the protocol as `module:attribute`.

    name: its name in sentences.
    truth: the truth of every case: `LABEL`, `MASK`, `FINDINGS`, or the task's own word.
    network: the value of the setting `task` of networks: "classification" (one output per case) or "segmentation" (one
        per voxel).
    preparation, training: the two halves that work on pixels, as "module:attribute"; see
        `equipoise.training.preparation.TaskPreparation` and `equipoise.training.tasks.TaskTraining`.
    losses, targets: the allowed values of `training.loss` and `training.targets`.
    defaults: of the protocol's sections, for keys that the protocol does not state.
    strata: the stratum of each case (n,); a stratified split keeps their shares.
    counts: number of cases by class name, of all cases or of some; empty where there are no classes. The names are
        those of the strata, in order.
    structures: the structures in the masks by name, as sets of mask values.
    network_classes: the names of the network's outputs.
    check: raises CohortError for a cohort that cannot be evaluated.
    lacking: returns what all prepared cases of a part lack, without which the part cannot be learnt from: the end of
        the sentence "no train case …"; empty where it can.
    endpoints: records (`equipoise.statistics.endpoints.Endpoint`) of the task's own metrics, one column of the
        predictions each; endpoint_names: the only endpoints offered (empty: all that its predictions allow).
    columns: of every case's row in the predictions, besides the metrics of structures.
    unplannable: why the power of a trial cannot be computed before training; empty where it can.
    explained: whether attribution maps are made of example cases.
    whole_scans: whether a case is a whole scan, also in a cohort of lesions.
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
        """Whether every case has a mask, also where findings are derived from it."""
        return self.truth in (MASK, FINDINGS)

    @property
    def has_findings(self) -> bool:
        """Whether the connected components of the masks are detected one by one, by candidates."""
        return self.truth == FINDINGS

    @property
    def answers_voxels(self) -> bool:
        """Whether the network has one output per voxel and not one per case."""
        return self.network == "segmentation"

    def judged_structures(self, cohort: CohortLike) -> Structures:
        """Return the structures whose masks are compared voxel by voxel; none where findings are detected."""
        return self.structures(cohort) if self.truth == MASK else {}
