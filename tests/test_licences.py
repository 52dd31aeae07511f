"""The list of licences is of the pins, and none of them asks for the licence of what uses it."""

import re
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
ELSEWHERE = {"colorama", "tzdata"}
"""Pins of other systems."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def listed() -> dict[str, tuple[str, str]]:
    rows = [line.strip("|\n ").split("|") for line in (REQUIREMENTS / "licences.md").read_text().splitlines()[2:]]
    return {plain(name.strip()): (version.strip(), licence.strip()) for name, version, licence in rows}


def pinned() -> dict[str, set[str]]:
    """The versions of every pin: some differ between versions of Python."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(
        r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", (REQUIREMENTS / "run.txt").read_text(), re.MULTILINE
    ):
        versions.setdefault(plain(name), set()).add(version)
    return versions


def test_every_pin_has_its_licence():
    licences, pins = listed(), pinned()
    assert {name: version for name, (version, _) in licences.items() if version not in pins.get(name, ())} == {}
    assert set(pins) - set(licences) <= ELSEWHERE


def test_no_licence_extends_to_what_uses_it():
    strict = {
        name: licence for name, (_, licence) in listed().items() if re.search(r"\b(A|L)?GPL|SSPL|CC-BY-NC", licence)
    }
    assert strict == {}
