"""What a .seg.nrrd of 3D Slicer says of its segments: key/value lines Segment0_Name:=Liver, Segment0_LabelValue:=1 …

Reference: Slicer's documentation of the segmentation file format. Without these names, values exchanged between
two files look as if they meant the same.
"""

import re
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from equipoise.cohorts.formats.refusal import RefusedFile

_LINE = re.compile(rb"^Segment(\d{1,6})_(Name|LabelValue|Layer|Tags):=(.*?)\r?$", re.MULTILINE)
_TERMINOLOGY = "TerminologyEntry:"
_KEYS = ("structures", "meanings")


def segments_in(
    header: bytes, path: str | PathLike[str], dtype: np.dtype[Any]
) -> Mapping[str, Mapping[int, str] | Mapping[int, tuple[str, str]]]:
    """Return, under the keys of `Scan.header`, value → name and value → code with its words; {} for other files.

    Raises RefusedFile where a segment's value is 0, which lies outside all, or no value of the voxels' type, and where
    two segments of one layer have one value.
    """
    by_segment: dict[int, dict[str, str]] = {}
    for number, key, value in _LINE.findall(header):
        by_segment.setdefault(int(number), {})[key.decode()] = value.decode("utf-8", "replace").strip()
    named = {number: own for number, own in by_segment.items() if "Name" in own}
    names: dict[int, str] = {}
    meanings: dict[int, tuple[str, str]] = {}
    layers = {own.get("Layer", "0") for own in named.values()}
    # Several layers are several channels, which no mask may have; Slicer before 4.11 wrote no values.
    if len(layers) > 1 or not all("LabelValue" in own for own in named.values()):
        return {}
    for own in named.values():
        value = _value(own, path, dtype)
        if value in names:
            reason = f"its segments {names[value]!r} and {own['Name']!r} both have the value {value}"
            raise RefusedFile(path, reason, "save it again with 3D Slicer")
        names[value] = own["Name"]
        meanings[value] = _meaning(own.get("Tags", ""))
    return dict(zip(_KEYS, (names, meanings), strict=True)) if names else {}


def _value(own: Mapping[str, str], path: str | PathLike[str], dtype: np.dtype[Any]) -> int:
    text = own["LabelValue"]
    highest = int(np.iinfo(dtype).max) if dtype.kind in "iu" else 1 << 24
    if not re.fullmatch(r"[0-9]{1,18}", text) or not 0 < int(text) <= highest:
        reason = f"its segment {own['Name']!r} has the value {text[:20]!r}, and its voxels hold 1 to {highest}"
        raise RefusedFile(path, reason, "give the segment a value of its own and save it again")
    return int(text)


def _meaning(tags: str) -> tuple[str, str]:
    """Return type and modifier of a terminology entry, "context~category~type~modifier~…" with scheme^value^words."""
    entry = next((tag for tag in tags.split("|") if _TERMINOLOGY in tag), "")
    codes = [part.split("^") for part in entry.split("~")[2:4]]
    whole = [code for code in codes if len(code) == 3 and code[1]]
    return " + ".join(f"{scheme} {value}" for scheme, value, _ in whole), ", ".join(
        code[2] for code in whole if code[2]
    )
