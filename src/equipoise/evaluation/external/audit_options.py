"""Options of an audit that its files do not contain: truth, regions, classes, patients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from equipoise.errors import PredictionError
from equipoise.evaluation.external.lists import ListFile
from equipoise.evaluation.segmentation import Metric

LOGITS, PROBABILITIES, PERCENT = "logits", "probabilities", "percent"
"""What scores are, as the caller says."""
Regions = Mapping[str, tuple[int, ...]]


def _no_share(_: str) -> bool:
    return False


@dataclass(frozen=True)
class AuditOptions:
    """What the caller adds to the files.

    truth: a folder or file of true masks, a MedMNIST .npz, or a CSV with the columns case and truth.
    regions: name → its labels (or its channel); () means the label at the same position in the order of labels.
    classes: names of the classes, in the order of the scores. metric: the quantity in an unnamed column of values.
    patients: case → patient, where the files name no patients. subgroups: columns that describe cases.
    own: metrics of the caller's own for each case of masks, by name.
    calls: endpoints that called classes suffice for. columns: role → columns of tables, see `parse_columns`. scores:
    one of `PROBABILITIES`, `PERCENT` and `LOGITS`, where tables do not say, or one for each arm (`parse_scores`).
    positive: the class that a single score is about. primary: the endpoint asked for. ignore: labels of the truth that
    nobody annotated, whose voxels count for no arm. below_chance: the labels of masks are right, although those of an
    arm look exchanged. lists: the files beside the predictions. arm: that of the file that is read; "" before that.
    arm_stated: whether the caller gave that file its arm (A=FILE) beside others.
    is_share: whether a metric of this name is a share, 0 to 1. common_cases: cases without a truth are left out.
    """

    truth: Path | None = None
    regions: Regions = field(default_factory=lambda: MappingProxyType({}))
    classes: tuple[str, ...] = ()
    metric: str | None = None
    patients: Mapping[str, str] | None = None
    cases_are_patients: bool = False
    subgroups: tuple[str, ...] = ()
    own: Mapping[str, Metric] = field(default_factory=lambda: MappingProxyType({}))
    calls: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    scores: str | None = None
    positive: str | None = None
    primary: str = "auc"
    ignore: tuple[int, ...] = ()
    below_chance: bool = False
    lists: tuple[ListFile, ...] = ()
    arm: str = ""
    arm_stated: bool = False
    is_share: Callable[[str], bool] = _no_share
    common_cases: bool = False


def parse_regions(given: str | Sequence[str] | Mapping[str, Sequence[int]] | None) -> dict[str, tuple[int, ...]]:
    """Read regions for `AuditOptions` from a mapping, a list of names, or the command line's spelling.

    >>> parse_regions("WT=1+2+3,ET=3")
    {'WT': (1, 2, 3), 'ET': (3,)}
    >>> parse_regions(["ET", "TC", "WT"])
    {'ET': (), 'TC': (), 'WT': ()}
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(name): tuple(int(label) for label in labels) for name, labels in given.items()}
    regions: dict[str, tuple[int, ...]] = {}
    for text in given.split(",") if isinstance(given, str) else given:
        name, equals, labels = str(text).strip().partition("=")
        try:
            regions[name] = tuple(int(label) for label in labels.split("+")) if equals else ()
        except ValueError as error:
            raise PredictionError(
                f"the region {text!r} is not understood; write name=1+2 with the labels, or the name alone"
            ) from error
        if not name:
            raise PredictionError(f"a region of {given!r} has no name; write name=1+2, or names in order")
    return regions


def labels_of(regions: Regions, labels_present: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return every region with its labels; a region without labels takes the label at its position.

    >>> labels_of({"edema": (), "core": ()}, [1, 2])
    {'edema': (1,), 'core': (2,)}
    """
    # Never for some regions only: their positions among the labels that are left could be read in two ways.
    bare = [name for name, labels in regions.items() if not labels]
    if bare and (len(bare) < len(regions) or len(bare) != len(labels_present)):
        shown = ", ".join(map(str, labels_present))
        raise PredictionError(
            f"{len(bare)} regions are named without labels and the masks hold {shown}; name one for each, in this "
            "order, or write name=label"
        )
    return {name: labels or (labels_present[index],) for index, (name, labels) in enumerate(regions.items())}
