"""The catalogue of public data: `catalogue.toml` as typed entries, found by name."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from equipoise.errors import CohortError
from equipoise.lookup import nearest

_MB = 1_000_000
# A published size is rounded, so twice as much is what an address may send before it counts as endless.
_SLACK = 2


@dataclass(frozen=True)
class PublicFile:
    """One file at an address.

    checksum: "md5:…" as its publisher states it, None where none is published. at_most_bytes: a longer answer is
    refused, for it cannot be this file.
    """

    name: str
    address: str
    checksum: str | None
    at_most_bytes: int

    @property
    def is_archive(self) -> bool:
        """Whether it is unpacked before it is read."""
        return self.name.endswith((".tar", ".zip", ".tar.gz"))


@dataclass(frozen=True)
class Entry:
    """One public data set.

    reader: the cohort source that reads it. settings: of that source, where the protocol states none.
    ask: the page where its licence is to be accepted; such data are not downloaded. archive: address of the
    interface by which `collection` is downloaded series by series.
    """

    name: str
    reader: str
    licence: str
    citation: str
    page: str
    checksum_from: str
    hosts: tuple[str, ...]
    file: PublicFile | None
    about_mb: int
    ask: str = ""
    archive: str = ""
    collection: str = ""
    multilabel: bool = False
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@cache
def entries() -> Mapping[str, Entry]:
    """Return every entry of the catalogue by its name."""
    content = tomllib.loads(files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8"))
    listed = [
        entry
        for name, data in content["data"].items()
        for entry in _entries(name, content["family"][data["family"]] | data)
    ]
    return MappingProxyType({entry.name: entry for entry in listed})


def entry_named(name: str) -> Entry:
    """Return an entry, ignoring case and "_" for "-"; CohortError with the nearest spelling for an unknown one."""
    plain = {_plain(known): known for known in entries()}
    if _plain(name) not in plain:
        raise CohortError(f"the public data set {name!r} is unknown; {nearest(_plain(name), entries())}")
    return entries()[plain[_plain(name)]]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _entries(name: str, facts: Mapping[str, Any]) -> Iterator[Entry]:
    if facts["reader"] == "medmnist":
        for size, md5 in facts["md5"].items():
            yield _medmnist(name, int(size), md5, facts)
        return
    about = int(facts.get("file_about_mb", facts.get("about_mb", 0)))
    checksum = f"md5:{facts['md5']}" if "md5" in facts else None
    yield _entry(name, facts, _file(facts["file"], checksum, _SLACK * about * _MB, facts) if "file" in facts else None)


def _medmnist(name: str, size: int, md5: str, facts: Mapping[str, Any]) -> Entry:
    # The file of 28 pixels has no size in its name, as in the original release.
    label = name if size == 28 else f"{name}-{size}"
    pixels = facts["cases"] * facts["channels"] * size ** facts["dims"]
    file = _file(f"{label.replace('-', '_')}.npz", f"md5:{md5}", _SLACK * pixels + _MB, facts)
    settings = {} if facts.get("multilabel") else {"classes": tuple(facts["classes"])}
    return _entry(label, {**facts, "about_mb": max(1, pixels // _MB)}, file, settings)


def _file(name: str, checksum: str | None, at_most: int, facts: Mapping[str, Any]) -> PublicFile:
    # Without a checksum the entry has to say so itself: one that was forgotten must not pass as one that is unknown.
    if (checksum is None) != bool(facts.get("unpinned")):
        raise ValueError(f"{name}: an entry has either a checksum or unpinned = true")
    return PublicFile(name, facts["address"].format(file=name), checksum, at_most)


def _entry(
    name: str, facts: Mapping[str, Any], file: PublicFile | None, settings: Mapping[str, Any] | None = None
) -> Entry:
    return Entry(
        name=name,
        reader=facts["reader"],
        licence=facts["licence"],
        citation=facts["citation"],
        page=facts.get("page", facts.get("ask", "")),
        checksum_from=facts.get("checksum_from", ""),
        hosts=tuple(facts.get("hosts", ())),
        file=file,
        about_mb=int(facts.get("about_mb", 0)),
        ask=facts.get("ask", ""),
        archive=facts.get("archive", ""),
        collection=facts.get("collection", ""),
        multilabel=bool(facts.get("multilabel", False)),
        settings=MappingProxyType(dict(settings or {})),
    )
