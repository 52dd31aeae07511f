"""Which structures masks are judged by: the stated regions, dataset.json's, or the labels of the truth.

A label that only predictions hold is never a structure: it would count as agreement wherever neither mask has it. A
label of the truth that no arm ever predicts may mean "nobody annotated this", so it is asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equipoise.errors import PredictionError
from equipoise.evaluation.external.nnunet import read_json

DESCRIPTION = "dataset.json"
_LEVELS = 3


@dataclass(frozen=True)
class Described:
    """Structures by name with their labels, and labels that nobody annotated, as a dataset.json has them."""

    path: Path
    regions: Mapping[str, tuple[int, ...]]
    ignore: tuple[int, ...]

    def note(self) -> str:
        """Return a sentence for the report."""
        ignored = f"; voxels of the label {self.ignore[0]} count for no arm (ignore)" if self.ignore else ""
        return f"Structures are those of {self.path}: {', '.join(self.regions)}{ignored}."


@dataclass
class LabelCount:
    """Labels with the true masks that hold them, and those of the predictions by folder; filled while masks "
    "are read."""

    true: dict[int, set[Path]] = field(default_factory=dict)
    predicted: dict[Path, set[int]] = field(default_factory=dict)
    arms: dict[Path, dict[str, None]] = field(default_factory=dict)

    def add(self, truth: Path, true: Iterable[int], prediction: Path, predicted: Iterable[int], arm: str = "") -> None:
        """Count one pair; several arms share a truth."""
        for label in true:
            self.true.setdefault(label, set()).add(truth)
        self.predicted.setdefault(prediction.parent, set()).update(predicted)
        self.arms.setdefault(prediction.parent, {})[arm] = None

    def whose(self, folder: Path) -> str:
        """Return the words for the masks of a folder, with the names of its arms."""
        named = [repr(arm) for arm in self.arms.get(folder, {}) if arm]
        return f"the predictions of {', '.join(named)} in {folder}" if named else f"the predictions in {folder}"

    def everywhere(self) -> set[int]:
        """Return the labels that occur in some prediction."""
        return set().union(*self.predicted.values()) if self.predicted else set()


def description(places: Iterable[Path]) -> Described | None:
    """Return what the dataset.json beside these files and folders says; None without one, or without labels.

    Raises PredictionError where two of them disagree, or one cannot be read.
    """
    files: dict[Path, None] = {}
    for place in places:
        start = place if place.is_dir() else place.parent
        for folder in [start, *start.parents][:_LEVELS]:
            if (folder / DESCRIPTION).is_file():
                files[(folder / DESCRIPTION).resolve()] = None
                break
    described = [one for path in files if (one := _read(path)) is not None]
    for one in described[1:]:
        if (one.regions, one.ignore) != (described[0].regions, described[0].ignore):
            raise PredictionError(
                f"{described[0].path} and {one.path} name different labels; state the structures (--regions name=1+2)"
            )
    return described[0] if described else None


def _read(path: Path) -> Described | None:
    content, _ = read_json(path)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not labels:
        return None
    pairs = [
        (value, key) if key.isdigit() and isinstance(value, str) else (key, value) for key, value in labels.items()
    ]
    try:
        values = {str(name): _values(value) for name, value in pairs}
    except (TypeError, ValueError) as error:
        raise PredictionError(
            f"{path} has labels that are not whole numbers; correct it, or state the structures (--regions name=1+2)"
        ) from error
    ignore = values.pop("ignore", ())
    regions = {name: own for name, own in values.items() if own != (0,)}
    return Described(path, regions, ignore) if regions else None


def _values(value: Any) -> tuple[int, ...]:
    parts = value if isinstance(value, list) else [value]
    if not parts or any(isinstance(part, bool) or int(part) != float(part) for part in parts):
        raise ValueError(value)
    return tuple(int(part) for part in parts)


def structures(labels: LabelCount, regions: Mapping[str, Sequence[int]], ignore: Sequence[int]) -> list[int]:
    """Return the labels of the truth that are judged, and refuse what is not certain (see the module's head)."""
    true = sorted(set(labels.true) - set(ignore))
    named = {label for own in regions.values() for label in own}
    for folder, own in labels.predicted.items():
        if own and true and not own & (named | set(true)):
            raise PredictionError(
                f"{labels.whose(folder)} hold the labels {_listed(own)} and the true masks "
                f"{_listed(true)}; save both with one code"
            )
    if any(regions.values()):
        return true
    missed = [label for label in true if label not in labels.everywhere()]
    if missed and len(true) > 1 and labels.everywhere():
        one, count = missed[0], len(labels.true[missed[0]])
        rest = ",".join(f"label_{label}={label}" for label in true)
        raise PredictionError(
            f"the label {one} is in {count} true masks and in no prediction of any arm; if it means that "
            f"nobody annotated these voxels, leave them out (--ignore {one}); if every arm missed it, name the "
            f"structures (--regions {rest})"
        )
    return true


def foreign_labels(labels: LabelCount, regions: Mapping[str, Sequence[int]], ignore: Sequence[int]) -> list[str]:
    """Return a sentence about labels that predictions alone hold, and about ignored ones."""
    named = {label for own in regions.values() for label in own}
    foreign = sorted(labels.everywhere() - set(labels.true) - named)
    notes = [
        f"Voxels of the label {label}, in {len(labels.true[label])} true masks, were left out for every arm."
        if label in labels.true
        else f"No true mask holds the label {label}, whose voxels were to be left out."
        for label in ignore
    ]
    if foreign:
        whose = "; ".join(labels.whose(folder) for folder, own in labels.predicted.items() if own & set(foreign))
        which = f"The labels {_listed(foreign)} are" if len(foreign) > 1 else f"The label {foreign[0]} is"
        notes.append(
            f"{which} in predictions and in no true mask ({whose}); these voxels count as background. "
            "Check how labels are coded."
        )
    return notes


def _listed(labels: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(labels)))
