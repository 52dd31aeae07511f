"""The `dataset.json` of nnU-Net, the Medical Segmentation Decathlon and MONAI: channels, labels, regions, `ignore`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equipoise.cohorts.cohort import IGNORED
from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.limits import MIB, Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.structure_names import Codes

NAME = "dataset.json"
_LIMITS = Limits(file_bytes=64 * MIB)
_IGNORE = "ignore"
_BACKGROUND = "background"


@dataclass(frozen=True)
class Labels:
    """What stored mask values mean.

    classes: index → name, background first. codes: stored value → class index, or IGNORED. regions: name → indices.
    """

    classes: tuple[str, ...]
    codes: Codes
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def ignores(self) -> bool:
        """Whether a stored value marks voxels that nobody labelled."""
        return IGNORED in self.codes.values()


def read_description(root: Path) -> dict[str, Any]:
    """Return the `dataset.json` of a folder, as a JSON object."""
    path = root / NAME
    raw, _ = read_bytes(path, _LIMITS)
    try:
        content = json.loads(raw)
    # Thousands of nested brackets, in a small file, end in a RecursionError and not in a ValueError.
    except (ValueError, RecursionError) as error:
        raise RefusedFile(path, "it is not valid JSON", "correct it, or write it again") from error
    if not isinstance(content, dict):
        raise RefusedFile(path, "it is not a JSON object", "correct it, or write it again")
    return content


def channels_of(description: Mapping[str, Any], root: Path) -> tuple[str, ...]:
    """Return the names of the channels under "0", "1" … of `channel_names` (nnU-Net v2) or `modality`."""
    key = "channel_names" if "channel_names" in description else "modality"
    named = description.get(key)
    if not isinstance(named, dict) or sorted(named) != sorted(map(str, range(len(named)))) or not named:
        raise RefusedFile(root / NAME, f'its "{key}" does not number the channels from "0"', "correct it")
    return tuple(str(named[str(index)]) for index in range(len(named)))


def labels_of(description: Mapping[str, Any], root: Path) -> Labels:
    """Return classes, codes and regions; both spellings are read: {"0": "organ"} and {"organ": 0}.

    As soon as one label is a list of values, every foreground entry is a region (nnU-Net's rule). The label named
    `ignore` marks voxels that nobody labelled.
    """
    given = description.get("labels")
    wrong = RefusedFile(root / NAME, 'its "labels" do not name whole numbers', "correct it")
    if not isinstance(given, dict):
        raise wrong
    pairs = [(value, key) if key.isdigit() and isinstance(value, str) else (key, value) for key, value in given.items()]
    try:
        values_by_name = {str(name): _values(value) for name, value in pairs}
    except (TypeError, ValueError) as error:
        raise wrong from error
    ignored = {value for name, values in values_by_name.items() if name.lower() == _IGNORE for value in values}
    values_by_name = {name: values for name, values in values_by_name.items() if name.lower() != _IGNORE}
    single = {
        str(name): int(value) for name, value in pairs if str(name) in values_by_name and not isinstance(value, list)
    }
    names = {0: "background"} | {value: name for name, value in single.items()}
    values = sorted({*names, *(value for group in values_by_name.values() for value in group)})
    codes = {value: index for index, value in enumerate(values)}
    # Masks are kept in 8 bits, of which the highest value is IGNORED.
    if len(values) < 2 or values[0] < 0 or ignored & set(values) or len(values) > IGNORED:
        raise wrong
    _check_background(values_by_name, root)
    regions = {}
    # The documentation of nnU-Net itself spells the enhancing tumour as a plain 3 beside lists. Read as a class alone,
    # that region was not judged, and nothing said so.
    overlapping = any(isinstance(value, list) for _, value in pairs)
    if not overlapping and len(set(values_by_name.values())) < len(values_by_name):
        raise RefusedFile(root / NAME, 'two of its "labels" have one value', "give each class its own value")
    if overlapping:
        foreground = {name: group for name, group in values_by_name.items() if group != (0,)}
        regions = {name: tuple(codes[value] for value in group) for name, group in foreground.items()}
    classes = tuple(names.get(value, f"label {value}") for value in values)
    return Labels(classes, codes | dict.fromkeys(ignored, IGNORED), regions)


def _check_background(values_by_name: Mapping[str, tuple[int, ...]], root: Path) -> None:
    """Refuse a background that is not 0: 0 would be judged as background, whatever structure it is called."""
    background = next((values for name, values in values_by_name.items() if name.lower() == _BACKGROUND), (0,))
    other = [name for name, values in values_by_name.items() if 0 in values and name.lower() != _BACKGROUND]
    if background != (0,) or (other and any(name.lower() == _BACKGROUND for name in values_by_name)):
        shown = (
            f"{_BACKGROUND!r} is {', '.join(map(str, background))}" if background != (0,) else f"{other[0]!r} holds 0"
        )
        raise RefusedFile(root / NAME, f'in its "labels" {shown}', "give 0 to the background and to nothing else")


def _values(value: Any) -> tuple[int, ...]:
    """Return the stored values of one entry; fractions, true and false, and empty lists are refused."""
    values = value if isinstance(value, list) else [value]
    # True and false are whole numbers to Python, but no values of a mask.
    if not values or any(isinstance(part, bool) or int(part) != float(part) for part in values):
        raise ValueError(value)
    return tuple(int(part) for part in values)


def listed_file(root: Path, name: Any) -> Path:
    """A listed file, whose name must stay below the folder: a description from elsewhere may not point at other files.

    A link that lies below the folder is followed, for its owner put it there.
    """
    # The name is tested as it is written and not resolved: datalad keeps every file as a link into a store that lies
    # elsewhere.
    path = Path(str(name))
    if not isinstance(name, str) or path.is_absolute() or ".." in path.parts or not name.strip("./ "):
        remedy = "correct it, or link the files below its folder and name the links"
        raise RefusedFile(root / NAME, f"it lists {name!r}, which is not a file below its folder", remedy)
    return root / path
