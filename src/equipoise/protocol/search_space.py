"""The search space of an arm: the range or the choices of each setting that tuning may change."""

import math
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from equipoise.protocol.sections import Section


class Dimension(Section):
    """The values of one setting: a range on a `log` or `linear` scale, one of `integer`s, or a list of `choices`."""

    log: tuple[float, float] | None = None
    linear: tuple[float, float] | None = None
    integer: tuple[int, int] | None = None
    choices: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _list_to_choices(cls, value: Any) -> Any:
        value = {"choices": value} if isinstance(value, list | tuple) else value
        if not isinstance(value, dict):
            raise ValueError("give a table such as {log = [1e-4, 1e-1]}, or a list of choices")
        return {key: tuple(inner) if isinstance(inner, list) else inner for key, inner in value.items()}

    @model_validator(mode="after")
    def _one_range(self) -> Self:
        alternatives = [value for value in (self.log, self.linear, self.integer, self.choices) if value is not None]
        if len(alternatives) != 1:
            raise ValueError("give exactly one of log, linear, integer and choices")
        for limits in (self.log, self.linear, self.integer):
            if limits is not None and not (limits[0] < limits[1] and all(map(math.isfinite, limits))):
                raise ValueError(f"{list(limits)} is not a range; give two numbers, the lower first")
        if self.log is not None and self.log[0] <= 0:
            raise ValueError(f"{list(self.log)} has no logarithm; give two numbers above 0")
        return self


class Space(Section):
    """The settings of an arm that tuning draws; the keys `optimizer.lr` and `"optimizer.lr"` mean the same."""

    model: dict[str, Dimension] = Field(default_factory=dict)
    optimizer: dict[str, Dimension] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _dotted_keys(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        nested: dict[str, Any] = {}
        for key, inner in value.items():
            # TOML reads `optimizer.lr` as nested tables and `"optimizer.lr"` as one key with a dot; both spellings are
            # natural.
            part, dot, setting = key.partition(".")
            own = {setting: inner} if dot else inner
            both = dot and isinstance(nested.get(part), dict)
            nested[part] = nested[part] | own if both else own
        return nested

    def dimensions(self) -> dict[str, Dimension]:
        """Return every dimension by its dotted name, such as "optimizer.lr"."""
        parts = (("model", self.model), ("optimizer", self.optimizer))
        return {f"{part}.{name}": dimension for part, settings in parts for name, dimension in settings.items()}
