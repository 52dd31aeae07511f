"""What a caller states: regions in three spellings, lists of case and something."""

from pathlib import Path

import pytest

from equipoise.errors import EquipoiseError, PredictionError
from equipoise.evaluation import external
from equipoise.evaluation.external.audit_options import labels_of, parse_regions
from equipoise.evaluation.external.lists import read_column


def test_regions_have_one_meaning_in_every_spelling() -> None:
    assert (
        parse_regions("WT=1+2+3,ET=3")
        == parse_regions({"WT": [1, 2, 3], "ET": (3,)})
        == parse_regions(["WT=1+2+3", "ET=3"])
    )
    assert parse_regions(None) == {}
    assert labels_of(parse_regions("a,b"), [1, 4]) == {"a": (1,), "b": (4,)}


@pytest.mark.parametrize("bad", ["a=one", "=1", "a,,b", "a=1+"])
def test_what_is_not_understood_is_named(bad: str) -> None:
    with pytest.raises(PredictionError, match="region"):
        parse_regions(bad)


@pytest.mark.parametrize("names", ["a", "a,b=2"])
def test_names_without_labels_must_be_as_many_as_labels(names: str) -> None:
    with pytest.raises(PredictionError, match="name one for each"):
        labels_of(parse_regions(names), [1, 2])


def test_lists_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_text("case,patient\n007,p1\nb,p2\nb,p2\n", encoding="utf-8")
    assert read_column(path, "case", "patient", "list") == {"007": "p1", "b": "p2"}
    for text, said in (
        ("case,patient\na,p1\na,p2\n", "'p1' in row 2 and 'p2' in row 3"),
        ("case,who\na,b\n", "known as the patient .*patient=who"),
        ("case,patient\na,\n", "empty cell"),
        ("", "empty"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(EquipoiseError, match=said):
            read_column(path, "case", "patient", "list")
    with pytest.raises(EquipoiseError, match="cannot be opened"):
        read_column(tmp_path / "absent.csv", "case", "patient", "list")


def test_the_old_name_of_the_options_still_works_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="AuditOptions"):
        assert external.Stated is external.AuditOptions
    with pytest.raises(AttributeError, match="Statement"):
        _ = external.Statement
