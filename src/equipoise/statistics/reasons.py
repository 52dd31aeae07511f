"""Reasons of verdicts and refusals, as a code with names and numbers; `report.text.reasons` writes the sentences.

Readers see sentences, programs compare codes, and a change of wording changes no statistics.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, init=False)
class Reason:
    """A code with its facts: names, numbers, further reasons.

    >>> reason = Reason("few_patients", patients=8, fewest=10)
    >>> reason.code, reason.facts["patients"]
    ('few_patients', 8)
    """

    code: str
    items: tuple[tuple[str, Any], ...]

    def __init__(self, code: str, **facts: Any) -> None:
        # A tuple and not a dictionary, so that reasons are hashable: equal warnings are reported once.
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "items", tuple(facts.items()))

    @property
    def facts(self) -> dict[str, Any]:
        """The facts by name."""
        return dict(self.items)
