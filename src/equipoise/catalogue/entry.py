"""One thing that a protocol may name, with its settings."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One setting of an entry.

    default: as in the source, empty where the setting must be given. kind: its type as in the source.
    """

    name: str
    default: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """One thing that a protocol may name.

    name: as written in a protocol. presets: names of published or ready sizes. facts: further columns of its kind, by
    the heading of the column. further: a sentence on this installation, for the terminal alone.
    """

    name: str
    meaning: str
    settings: tuple[Setting, ...] = ()
    presets: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    further: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        values = {key: value for key, value in asdict(self).items() if key != "further"}
        return {**values, "facts": dict(self.facts)}


@dataclass(frozen=True)
class Listing:
    """All entries of a kind. where: the place in a protocol that takes such a name, as TOML."""

    kind: str
    title: str
    where: str
    entries: tuple[Entry, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"kind": self.kind, "where": self.where, "entries": [entry.as_json() for entry in self.entries]}
