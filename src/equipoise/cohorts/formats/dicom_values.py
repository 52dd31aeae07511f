"""Attributes of a DICOM data set as plain, checked Python values (runs inside the sandbox's child)."""

import math
import re
from typing import Any

from pydicom.dataset import Dataset

from equipoise.cohorts.formats.refusal import RefusedFile

UID = re.compile(r"[0-9.]{1,64}")  # the alphabet and length of PS3.5 section 9.1; stray leading zeros are common


def malformed(reason: str) -> RefusedFile:
    """A refusal whose file the parent process names."""
    return RefusedFile("", reason, "export or de-identify it again with a tool that writes valid DICOM")


def value(dataset: Dataset, name: str) -> Any:
    """The attribute's value, None where absent or empty; refused where its type is lost or its bytes make no sense."""
    if name not in dataset:
        return None
    raw = dataset.get_item(name)
    if raw is not None and raw.VR == "UN":
        raise malformed(f"its {name} is stored without a type (VR UN)")
    try:
        found = dataset[name].value
    except Exception as error:
        raise malformed(f"its {name} cannot be read ({type(error).__name__})") from error
    return None if found is None or found == "" else found


def text(dataset: Dataset, name: str) -> str:
    """The attribute as text without padding, "" where absent; several values are joined as stored."""
    found = value(dataset, name)
    if found is None:
        return ""
    parts = found if isinstance(found, (list, tuple)) or hasattr(found, "append") else [found]
    return "\\".join(str(part) for part in parts).strip(" \0")[:1024]


def uid(dataset: Dataset, name: str) -> str:
    """The attribute as a unique identifier, "" where absent."""
    found = text(dataset, name)
    if found and not UID.fullmatch(found):
        raise malformed(f"its {name} {found[:64]!r} is not a unique identifier")
    return found


def numbers(dataset: Dataset, name: str, count: int) -> list[float] | None:
    """The attribute as `count` finite numbers, None where absent."""
    found = value(dataset, name)
    if found is None:
        return None
    parts = list(found) if hasattr(found, "__len__") and not isinstance(found, str) else [found]
    if not parts:
        return None
    try:
        converted = [float(part) for part in parts]
    except (TypeError, ValueError) as error:
        raise malformed(f"its {name} is not a number") from error
    if len(converted) != count or not all(map(math.isfinite, converted)):
        raise malformed(f"its {name} holds {converted[:8]}, where {count} finite numbers belong")
    return converted


def number(dataset: Dataset, name: str) -> float | None:
    """The attribute as one finite number, None where absent."""
    found = numbers(dataset, name, 1)
    return None if found is None else found[0]


def whole(dataset: Dataset, name: str, default: int | None = None) -> int:
    """The attribute as a positive or zero whole number; refused where it is missing and has no default."""
    found = number(dataset, name)
    if found is None and default is not None:
        return default
    if found is None or found != int(found) or found < 0:
        raise malformed(f"its {name} is {'missing' if found is None else found}")
    return int(found)


def items(dataset: Dataset, name: str) -> list[Dataset]:
    """The items of a sequence, [] where absent."""
    found = value(dataset, name)
    if found is None:
        return []
    if not all(isinstance(item, Dataset) for item in found):
        raise malformed(f"its {name} is not a sequence")
    return list(found)
