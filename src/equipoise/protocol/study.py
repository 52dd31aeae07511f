"""A study: one question on many workloads (pairs of a data set and a network), as one TOML file.

It is a protocol in which `[study]` replaces `[cohort]` and `[[arms]]`: every cohort is crossed with every
model, and each pair is an ordinary trial whose arms are the optimizers.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomlkit
from pydantic import Field, field_validator

from equipoise.errors import ProtocolError
from equipoise.protocol import Protocol
from equipoise.protocol.sections import Section, tuples
from equipoise.protocol.toml import read_text, tables, validated

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
SHARED = ("split", "preprocessing", "augmentation", "training", "inference", "tuning", "endpoints")
"""Tables that apply to every trial; a cohort may replace keys of them."""


class StudyCohort(Section):
    """A data set: its `[cohort]` table, and keys that replace those of the shared tables."""

    name: Name
    cohort: dict[str, Any]
    split: dict[str, Any] = Field(default_factory=dict)
    preprocessing: dict[str, Any] = Field(default_factory=dict)
    augmentation: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    endpoints: dict[str, Any] = Field(default_factory=dict)


class StudyModel(Section):
    """A network, written as in an arm."""

    name: Name
    model: Any


class StudyOptimizer(Section):
    """An optimizer, written as in an arm, with its search space (by default the optimizer's own)."""

    name: Name
    optimizer: Any
    space: dict[str, Any] = Field(default_factory=dict)


class StudySection(Section):
    """The cohorts, models and optimizers that are crossed.

    correction: "bonferroni" divides alpha by the number of trials, so that all of their claims together err no more
    often than alpha states; without it, trials that open the same test cases are exploratory, each by itself.
    """

    name: Name = "study"
    question: str = "Which optimizer trains best?"
    correction: Literal["none", "bonferroni"] = "none"
    cohorts: Annotated[tuple[StudyCohort, ...], Field(min_length=1)]
    models: Annotated[tuple[StudyModel, ...], Field(min_length=1)]
    optimizers: Annotated[tuple[StudyOptimizer, ...], Field(min_length=2)]

    _arrays = tuples("cohorts", "models", "optimizers")

    @field_validator("cohorts", "models", "optimizers")
    @classmethod
    def _own_names(cls, value: Any) -> Any:
        names = [one.name for one in value]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"the name {min(repeated)!r} is used twice; give each its own")
        return value


class Study(Section):
    """A study as typed data; `Study.load(path)` reads one, `trials()` gives its protocols."""

    study: StudySection
    split: dict[str, Any] = Field(default_factory=dict)
    preprocessing: dict[str, Any] = Field(default_factory=dict)
    augmentation: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    inference: dict[str, Any] = Field(default_factory=dict)
    tuning: dict[str, Any] = Field(default_factory=dict)
    endpoints: dict[str, Any] = Field(default_factory=dict)

    def trials(self, folder: Path) -> dict[tuple[str, str], Protocol]:
        """Return a protocol for each (cohort, model), in this order; paths are relative to `folder`.

        Raises ProtocolError naming the trial, the key and the remedy.
        """
        return {
            (cohort.name, model.name): self._protocol(cohort, model, folder)
            for cohort in self.study.cohorts
            for model in self.study.models
        }

    def _protocol(self, cohort: StudyCohort, model: StudyModel, folder: Path) -> Protocol:
        name = f"{cohort.name}-{model.name}"
        question = f"Which optimizer trains {model.name} best on {cohort.name}?"
        tables = {key: getattr(self, key) | getattr(cohort, key, {}) for key in SHARED}
        arms = [
            {"name": one.name, "model": model.model, "optimizer": one.optimizer, "space": one.space}
            for one in self.study.optimizers
        ]
        values = {"trial": {"name": name, "question": question}, "cohort": cohort.cohort}
        values |= {key: table for key, table in tables.items() if table} | {"arms": arms}
        if self.study.correction == "bonferroni":
            self._correct(values, name, folder)
        # Through TOML text, so that a study's trial is validated, hashed and stored exactly as one that a user wrote.
        return Protocol.parse(tomlkit.dumps(values), f"the trial {name}", folder)

    def _correct(self, values: dict[str, Any], name: str, folder: Path) -> None:
        """Divide alpha by the number of all trials of the study, whether or not they share test cases."""
        # That of the parsed protocol, where no table states one: the default stands in one place.
        alpha = Protocol.parse(tomlkit.dumps(values), f"the trial {name}", folder).endpoints.alpha
        trials = len(self.study.cohorts) * len(self.study.models)
        values["endpoints"] = {**values.get("endpoints", {}), "alpha": alpha / trials}

    def sha256(self) -> str:
        """Return the hash of the plan, computed from the protocols of its trials."""
        hashes = [protocol.sha256() for protocol in self.trials(Path()).values()]
        return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a study's file.

        Raises ProtocolError where it cannot be read, or a key or value is not allowed.
        """
        return validated(cls, tables(read_text(path), str(path)), str(path))


def is_study(path: str | Path) -> bool:
    """Return whether a file holds a study and not the protocol of one trial; False where it cannot be read."""
    try:
        return "study" in tables(read_text(Path(path)), str(path))
    # The reader of protocols then reports what is wrong with the file, with the right sentence.
    except ProtocolError:
        return False
