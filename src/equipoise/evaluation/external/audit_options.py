"""What the caller of an audit states because the files do not say it: truth, regions, classes, patients."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from equipoise.errors import PredictionError

Regions = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Stated:
    """Statements beside the files.

    truth: a folder or file of true masks, a MedMNIST .npz, or a CSV with the columns case and truth.
    regions: name → the labels (or the channel) that make it up; () means the one that stands at this place.
    classes: names of the classes, in the order of the scores. metric: what an unnamed column of values measures.
    patients: case → patient, where the files name no patients. subgroups: columns that describe cases.
    """

    truth: Path | None = None
    regions: Regions = field(default_factory=lambda: MappingProxyType({}))
    classes: tuple[str, ...] = ()
    metric: str | None = None
    patients: Mapping[str, str] | None = None
    cases_are_patients: bool = False
    subgroups: tuple[str, ...] = ()


def parse_regions(given: str | Sequence[str] | Mapping[str, Sequence[int]] | None) -> dict[str, tuple[int, ...]]:
    """Regions as `Stated` holds them, from a mapping, a list of names, or the command line's spelling.

    >>> parse_regions("WT=1+2+3,ET=3")
    {'WT': (1, 2, 3), 'ET': (3,)}
    >>> parse_regions(["ET", "TC", "WT"])
    {'ET': (), 'TC': (), 'WT': ()}
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(name): tuple(int(label) for label in labels) for name, labels in given.items()}
    found: dict[str, tuple[int, ...]] = {}
    for text in given.split(",") if isinstance(given, str) else given:
        name, equals, labels = str(text).strip().partition("=")
        try:
            found[name] = tuple(int(label) for label in labels.split("+")) if equals else ()
        except ValueError as error:
            raise PredictionError(
                f"the region {text!r} is not understood; write name=1+2 with the labels, or the name alone"
            ) from error
        if not name:
            raise PredictionError(f"a region of {given!r} has no name; write name=1+2, or names in order")
    return found


def labels_of(regions: Regions, found: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Every region with its labels; a region named without labels is the label at its place in `found`.

    >>> labels_of({"edema": (), "core": ()}, [1, 2])
    {'edema': (1,), 'core': (2,)}
    """
    bare = [name for name, labels in regions.items() if not labels]
    if bare and (len(bare) < len(regions) or len(bare) != len(found)):
        shown = ", ".join(map(str, found))
        raise PredictionError(
            f"{len(bare)} regions are named without labels and the masks hold {shown}; name one for each, in this "
            "order, or write name=label"
        )
    return {name: labels or (found[index],) for index, (name, labels) in enumerate(regions.items())}


def read_column(path: Path, key: str, value: Sequence[str], said: str) -> dict[str, str]:
    """Key → value of a CSV with these columns (`value`: the spellings allowed); refused where one key has two."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PredictionError(f"the {said} {path} is not readable ({error}); give a CSV file") from error
    column = next((name for name in value if rows and name in rows[0]), None)
    if column is None or key not in rows[0]:
        raise PredictionError(f"the {said} {path} has no row with the columns {key!r} and {value[0]!r}; add them")
    found: dict[str, str] = {}
    for row in rows:
        name, what = row[key] or "", row[column] or ""
        if not name or not what:
            raise PredictionError(f"the {said} {path} has an empty cell in column {key!r} or {column!r}; fill it in")
        if found.setdefault(name, what) != what:
            raise PredictionError(
                f"the {said} {path} gives case {name!r} the {column} {found[name]!r} and {what!r}; keep one"
            )
    return found
