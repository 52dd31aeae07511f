"""Sources by name: the documentation names all of them with all of their keys."""

import inspect
import re
import shlex
from pathlib import Path

import pytest

from equipoise.cohorts import sources
from equipoise.errors import CohortError, ProtocolError
from equipoise.protocol import CohortSection

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "cohorts.md"
EVERYWHERE = {"path", "task"}
ODD = """
from equipoise.testing.phantoms.cases import phantom

def nothing(path):
    return 3

def broken(path):
    raise ValueError("no")

def classes(path):
    return phantom(cases=4, size=8)
"""


def documented() -> dict[str, set[str]]:
    """Source → keys, from the table; "the same, and" means those of the row before."""
    found: dict[str, set[str]] = {}
    before: set[str] = set()
    for source, keys in re.findall(r"^\| `([\w-]+)` \|[^|]*\| ([^|]*) \|$", DOCUMENT.read_text(), re.MULTILINE):
        named = set(re.findall(r"`(\w+)`", keys))
        before = named | (before if keys.startswith("the same") else set())
        found[source.replace("-", "_")] = before
    return found


def test_the_documentation_names_every_source_with_every_key() -> None:
    stated = documented()
    assert set(stated) == set(sources.__all__)
    for name in sources.__all__:
        keys = set(inspect.signature(getattr(sources, name)).parameters) - EVERYWHERE
        assert stated[name] == keys, name


def test_keys_that_a_source_does_not_know_are_named() -> None:
    with pytest.raises(ProtocolError, match="'cohort.efect' is unknown to the source 'phantom'; did you mean 'effect'"):
        sources.load(CohortSection(source="phantom", efect=1.0))
    with pytest.raises(ProtocolError, match="did you mean 'phantom'"):
        sources.load(CohortSection(source="fantom"))


@pytest.mark.parametrize("place", ["/data/x", "./x", "C:\\data"])
def test_a_path_given_as_a_source_names_the_two_keys_and_init(place: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        sources.load(CohortSection(source=place))
    assert f"path = {place!r} and the name of a reader" in str(refusal.value)
    assert f"run `equipoise init {shlex.quote(place)}`" in str(refusal.value)


def test_a_source_of_another_task_or_kind_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd_source.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CohortError, match="returned int; it must return equipoise.Cohort"):
        sources.load(CohortSection(source="odd_source:nothing"), code=tmp_path)
    with pytest.raises(CohortError, match="failed on its data: no; correct the path or the settings"):
        sources.load(CohortSection(source="odd_source:broken"), code=tmp_path)
    with pytest.raises(ProtocolError, match='set task = "classification"'):
        sources.load(CohortSection(source="odd_source:classes", task="segmentation"), code=tmp_path)
