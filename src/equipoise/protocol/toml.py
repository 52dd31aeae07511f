"""Convert a user's TOML file to typed data, or raise one sentence that states the correction."""

import tomllib
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from equipoise.errors import ProtocolError
from equipoise.lookup import nearest
from equipoise.plain_files import text_of

Model = TypeVar("Model", bound=BaseModel)


def read_text(path: Path) -> str:
    """Read the text of a protocol file.

    Raises ProtocolError where it is missing or unreadable.
    """
    try:
        return text_of(path)
    except FileNotFoundError as error:
        raise ProtocolError(f"{path} does not exist; write one with `equipoise init`") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{path} cannot be read ({error}); it must be a TOML text file") from error


def tables(text: str, name: str) -> dict[str, Any]:
    """Parse TOML text; raises ProtocolError, which shows `name`, for text that is not TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ProtocolError(f"{name} is not valid TOML: it is nested too deeply; correct it") from error
    # ValueError beside TOML's own error, for numbers of thousands of digits.
    except ValueError as error:
        raise ProtocolError(f"{name} is not valid TOML: {error}; correct that line") from error


def validated(model: type[Model], values: dict[str, Any], name: str, folder: Path | None = None) -> Model:
    """Return the values as typed data; raises ProtocolError, which shows `name`, for a key or value not allowed.

    folder: the place of the user's own code.
    """
    try:
        return model.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        raise ProtocolError(f"{name}: {_sentence(error, model)}") from error


def _sentence(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first of pydantic's complaints as one sentence: key, value, what is allowed."""
    # A misspelt key causes two complaints, unknown and missing; only the first tells the user what to correct.
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        return f"the key {key!r} is unknown; {nearest(name, _keys(model, first['loc'][:-1]))}"
    if first["type"] == "missing":
        return f"the key {key!r} is missing; add it"
    message = first["msg"].removeprefix("Value error, ")
    if not key:
        return message
    return f"{key} = {first['input']!r} is not allowed: {message[0].lower()}{message[1:]}"


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed in the table at `location`."""
    for part in location:
        if isinstance(part, int) or part not in model.model_fields:
            continue  # a place in a list, or a key that the user named
        annotation: Any = model.model_fields[part].annotation
        model = next(kind for kind in _kinds(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(model.model_fields)


def _kinds(annotation: Any) -> list[Any]:
    """Return a type and, recursively, the arguments of its unions, tuples and annotations."""
    # `X | None` is a types.UnionType, `Optional[X]` a typing.Union; both occur, and so does `tuple[X, ...]`.
    inner = get_args(annotation) if not isinstance(annotation, UnionType) else annotation.__args__
    return [annotation, *(kind for part in inner for kind in _kinds(part))]
