"""Attributes of a DICOM data set as plain, checked Python values (runs inside the sandbox's child)."""

import math
import re
from typing import Any

from pydicom.dataset import Dataset

from equipoise.cohorts.formats.refusal import RefusedFile

UID = re.compile(r"[0-9.]{1,64}")  # the alphabet and length of PS3.5 section 9.1; stray leading zeros are common


def malformed(reason: str) -> RefusedFile:
    """Return a refusal whose file the parent process names."""
    return RefusedFile("", reason, "export or de-identify it again with a tool that writes valid DICOM")


def value(dataset: Dataset, name: str) -> Any:
    """The attribute's value, None where absent or empty; refused where its type is lost or its bytes make no sense."""
    if name not in dataset:
        return None
    raw = dataset.get_item(name)
    # Software that does not know an attribute may hand it on as UN. Its bytes can be read in several ways, and a
    # spacing read in the wrong one would look plausible.
    if raw is not None and raw.VR == "UN":
        raise malformed(f"its {name} is stored without a type (VR UN)")
    try:
        content = dataset[name].value
    # pydicom converts at access, and what its converters raise on damaged bytes ranges from ValueError to struct and
    # decoding errors, so no list would be complete.
    except Exception as error:
        raise malformed(f"its {name} cannot be read ({type(error).__name__})") from error
    return None if content is None or content == "" else content


def text(dataset: Dataset, name: str) -> str:
    """Return the attribute as text without padding, "" where absent; several values are joined as stored."""
    content = value(dataset, name)
    if content is None:
        return ""
    # pydicom gives its own MultiValue for several values, which is no list but appends like one.
    parts = content if isinstance(content, (list, tuple)) or hasattr(content, "append") else [content]
    return "\\".join(str(part) for part in parts).strip(" \0")[:1024]


def uid(dataset: Dataset, name: str) -> str:
    """Return the attribute as a unique identifier, "" where absent."""
    identifier = text(dataset, name)
    if identifier and not UID.fullmatch(identifier):
        raise malformed(f"its {name} {identifier[:64]!r} is not a unique identifier")
    return identifier


def numbers(dataset: Dataset, name: str, count: int) -> list[float] | None:
    """Return the attribute as `count` finite numbers, None where absent."""
    content = value(dataset, name)
    if content is None:
        return None
    parts = list(content) if hasattr(content, "__len__") and not isinstance(content, str) else [content]
    if not parts:
        return None
    try:
        converted = [float(part) for part in parts]
    except (TypeError, ValueError) as error:
        raise malformed(f"its {name} is not a number") from error
    # Decimal strings may spell NaN and infinity, which every later comparison would let pass.
    if len(converted) != count or not all(map(math.isfinite, converted)):
        raise malformed(f"its {name} holds {converted[:8]}, where {count} finite numbers belong")
    return converted


def number(dataset: Dataset, name: str) -> float | None:
    """Return the attribute as one finite number, None where absent."""
    single = numbers(dataset, name, 1)
    return None if single is None else single[0]


def whole(dataset: Dataset, name: str, default: int | None = None) -> int:
    """Return the attribute as a positive or zero whole number; refused where it is missing and has no default."""
    count = number(dataset, name)
    if count is None and default is not None:
        return default
    if count is None or count != int(count) or count < 0:
        raise malformed(f"its {name} is {'missing' if count is None else count}")
    return int(count)


def items(dataset: Dataset, name: str) -> list[Dataset]:
    """Return the items of a sequence, [] where absent."""
    sequence = value(dataset, name)
    if sequence is None:
        return []
    if not all(isinstance(item, Dataset) for item in sequence):
        raise malformed(f"its {name} is not a sequence")
    return list(sequence)


def meaning(dataset: Dataset, name: str, modifiers: str) -> dict[str, str]:
    """Return the code of an attribute with those of its modifiers (left, right), and what they say in words.

    name, modifiers: sequences of codes, which may be absent. The codes are scheme and value.
    """
    # The standard puts modifiers into the code's own item; some writers put them beside it.
    first = items(dataset, name)[:1]
    listed = [*first, *(part for each in first for part in items(each, modifiers)), *items(dataset, modifiers)]
    codes = [f"{text(item, 'CodingSchemeDesignator')} {_code_value(item)}" for item in listed]
    words = [text(item, "CodeMeaning") for item in listed]
    return {"code": " + ".join(codes), "meaning": ", ".join(filter(None, words))}


def _code_value(item: Dataset) -> str:
    """Return the value of a code, which stands in one of three attributes by its length and form (PS3.3, 8.8)."""
    return text(item, "CodeValue") or text(item, "LongCodeValue") or text(item, "URNCodeValue")
