"""Base classes of the protocol's tables."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Positive = Annotated[int, Field(ge=1)]


def one_of(value: str, allowed: Sequence[str], own: str = "") -> str:
    """Return the value if it is one of those allowed.

    Raises ValueError with the list in pydantic's form; own: a further possibility, in words.
    """
    if value in allowed:
        return value
    # Not a Literal, because the allowed names come from records (tasks, losses) that a type cannot list.
    names = [*(f"'{name}'" for name in allowed), *([own] if own else [])]
    raise ValueError(f"input should be {', '.join(names[:-1])} or {names[-1]}")


def tuples(*fields: str) -> Any:
    """Return a validator that converts TOML's arrays in these fields to tuples."""
    # Strict mode refuses a list where a tuple is declared, and a list could be changed inside a frozen table.
    return field_validator(*fields, mode="before")(_list_to_tuple)


def _list_to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Section(BaseModel):
    """A table of the protocol: unknown keys are refused, values are not coerced across kinds."""

    # Strict, because a coerced value hides a mistake: epochs = "12" or true would pass as a number.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OpenSection(Section):
    """A table whose further keys belong to someone else: a cohort source, a model, an optimizer."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    @property
    def settings(self) -> dict[str, Any]:
        """The keys that this table does not declare itself."""
        return dict(self.model_extra or {})


class Named(OpenSection):
    """A model, an optimizer or a schedule: its name and its settings; a bare string is a name without settings."""

    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class TrialSection(Section):
    """A trial's own words. name: letters, digits, `.`, `_`, `-`. question: stands above the verdict."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[\w.-]+$")] = "trial"
    question: str = "Which arm is better?"
