"""Every key of a protocol with its type, its default and its meaning, read from the typed sections."""

import inspect
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from equipoise.catalogue.docstring import meanings
from equipoise.catalogue.entry import Entry
from equipoise.preprocessing import settings as preprocessing
from equipoise.protocol import Dimension, Named, Protocol, Space
from equipoise.protocol.sections import Section

ELSEWHERE = {"augmentation": "its keys: equipoise list augmentations"}
"""Tables of the protocol whose keys have a list of their own."""


def protocol_keys() -> Iterator[Entry]:
    """Yield every key in the order of the protocol, with dotted names as `training.epochs`."""
    for table, field in Protocol.model_fields.items():
        if table in ELSEWHERE:
            yield Entry(table, ELSEWHERE[table], facts=(("values", "table"), ("default", "")))
            continue
        if table == "preprocessing":
            yield from _preprocessing()
            continue
        section = _section(field.annotation)
        if section is not None:
            yield from _of_section(table, section)


def _of_section(prefix: str, section: type[BaseModel]) -> Iterator[Entry]:
    """Yield the keys of a table, and behind each those of the tables that it may hold."""
    explained = _explained(section)
    for name, field in section.model_fields.items():
        key = f"{prefix}.{name}"
        facts = (("values", values(field.annotation, field)), ("default", default(field)))
        yield Entry(key, explained.get(name, ""), facts=facts)
        inner = _section(field.annotation)
        # A name with settings of its own is one value, and a space is written by the dotted names of settings.
        if inner is not None and not issubclass(inner, Named | Space | Dimension):
            yield from _of_section(key, inner)


def _explained(section: type[BaseModel]) -> dict[str, str]:
    """Return the meanings in the docstrings of a section and of the sections that it extends."""
    explained: dict[str, str] = {}
    for one in section.__mro__:
        if issubclass(one, Section):
            explained = meanings(one.__doc__ or "", list(section.model_fields)) | explained
    return explained


def _preprocessing() -> Iterator[Entry]:
    explained = meanings(preprocessing.__doc__ or "", preprocessing.KEYS)
    preset_values = Protocol.model_fields["preprocessing"].get_default(call_default_factory=True)
    for key in preprocessing.KEYS:
        facts = (
            ("values", "see the meaning"),
            ("default", as_toml(preset_values[key]) if key in preset_values else "none"),
        )
        yield Entry(f"preprocessing.{key}", explained.get(key, ""), facts=facts)


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the section in an annotation such as `tuple[Arm, ...]` or `Pretrained | None`; None without one."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for one in get_args(annotation) if (inner := _section(one)) is not None), None)


def default(field: FieldInfo) -> str:
    """Return a field's default as TOML would write it, or what its absence means."""
    value = field.default_factory() if callable(field.default_factory) else field.default  # type: ignore[call-arg]
    if value is PydanticUndefined:
        return "must be given"
    if value is None:
        return "none"
    if isinstance(value, Named):
        return f'"{value.name}"'
    if isinstance(value, BaseModel):
        return "none"
    return as_toml(value)


def as_toml(value: Any) -> str:
    """Return a plain value as TOML, and None as none.

    >>> as_toml(("a", True, None))
    '["a", true, none]'
    """
    if isinstance(value, bool | NoneType):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(as_toml(one) for one in value) + "]"
    return "{}" if isinstance(value, dict) else str(value)


_PLAIN = {int: "whole number", float: "number", str: "text", bool: "true or false"}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def values(annotation: Any, field: FieldInfo | None = None) -> str:
    """Return in words what values a field takes, with the bounds that its annotation states.

    >>> from typing import Literal
    >>> values(Literal["a", "b"]), values(int | None), values(tuple[str, ...])
    ('"a" or "b"', 'whole number', 'list of text')
    """
    bounds = _bounds(field.metadata) if field is not None else ""
    return _kind(annotation) + (f" {bounds}" if bounds else "")


def _kind(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = _bounds([bound for extra in inner[1:] for bound in getattr(extra, "metadata", [extra])])
        return _kind(inner[0]) + (f" {bounds}" if bounds else "")
    if origin is Literal:
        return " or ".join(as_toml(one) for one in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_kind(one) for one in inner if one is not NoneType))
    if origin is tuple:
        return f"list of {_kind(inner[0])}"
    if inspect.isclass(annotation) and issubclass(annotation, Named):
        return "a name, or a table with its settings"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "table"
    return _PLAIN.get(annotation, "table" if origin is dict or annotation is dict else "value")


def _bounds(metadata: list[Any]) -> str:
    """Return numeric bounds as `≥ 0, < 1`."""
    pairs = ((sign, getattr(one, name, None)) for one in metadata for name, sign in _BOUNDS.items())
    return ", ".join(f"{sign} {bound:g}" for sign, bound in pairs if bound is not None)
