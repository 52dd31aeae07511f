"""The protocol's table of the split: which patients train, validate and test, and what is stated of their images."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from equipoise.protocol.sections import Positive, Section, tuples
from equipoise.protocol.stated_reason import is_placeholder

STATEMENTS = ("not_leaks", "reuse")
"""Keys that state something of the data; a plan that leaves them out is the plan that it was without them."""
OF_NO_SPLIT = frozenset(("allow_leaks", "contrast", "patients", *STATEMENTS))
"""Keys of the table that do not decide which case is in which part."""
_SHORTEST_REASON = 10


class SplitSection(Section):
    """The split of the patients into training, validation and test.

    scheme: shares of patients, cross-validation, or the source's own parts. fractions: shares of training, validation
    and test. seed: of the split alone. folds: of "kfold". repeats: of "kfold", each with another split; five or more
    give a verdict about the method itself. allow_leaks: true runs a trial whose parts share patients or images, and the
    report says so.
    not_leaks: pairs of cases whose images are equal or nearly so, and which somebody looked at and found to be of
    different patients; the lock and the report keep them.

    patients: "guessed" groups similar images and treats each group as one patient, where the source states none;
    "confirmed" states that each is a patient, although their names look like images of fewer persons.
    reuse: why test cases that were opened before are opened again for wholly other arms; without it such a trial is
    exploratory, with it the report prints the reason at its top.
    unit: what is never divided between the parts: a patient, or only a case.
    contrast: "case" runs the same trial a second time, split by case, to show what such a split would claim.
    """

    scheme: Literal["holdout", "kfold", "given"] = "holdout"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0
    folds: Annotated[int, Field(ge=2)] = 5
    repeats: Positive = 1
    patients: Literal["stated", "guessed", "confirmed"] = "stated"
    unit: Literal["patient", "case"] = "patient"
    contrast: Literal["none", "case"] = "none"
    allow_leaks: bool = False
    not_leaks: tuple[tuple[str, str], ...] = ()
    reuse: str = ""

    _arrays = tuples("fractions")

    @field_validator("not_leaks", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        rows = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(row, list | tuple) and len(row) == 2 and row[0] != row[1] for row in rows):
            raise ValueError('must be pairs of cases, as [["a", "b"]]')
        return tuple(tuple(row) for row in rows)

    @field_validator("fractions")
    @classmethod
    def _whole(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        # With a tolerance, because shares such as 0.7 + 0.1 + 0.2 do not sum to exactly 1 in floating point.
        if min(value) <= 0 or abs(sum(value) - 1) > 1e-6:
            raise ValueError("train, validation and test shares must be positive and sum to 1")
        return value

    @field_validator("reuse")
    @classmethod
    def _in_words(cls, value: str) -> str:
        # What is printed at the top of a report is one line, and an empty one would waive the rule for nothing.
        line = " ".join(value.split())
        if value and (len(line) < _SHORTEST_REASON or is_placeholder(line)):
            raise ValueError(f"must state the reason in words ({_SHORTEST_REASON} characters or more), or be left out")
        return line
