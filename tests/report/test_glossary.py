import pytest

from equipoise.report.text import glossary


def test_terms_are_in_order_and_no_spelling_is_of_two():
    names = [one.name.casefold() for one in glossary.TERMS]
    assert names == sorted(names)
    spellings = [text.casefold() for one in glossary.TERMS for text in (one.name, *one.also)]
    assert len(spellings) == len(set(spellings))
    assert len({glossary.anchor(one) for one in glossary.TERMS}) == len(names)


@pytest.mark.parametrize("one", glossary.TERMS, ids=lambda one: one.name)
def test_a_meaning_is_a_short_sentence_that_does_not_lean_on_markup(one):
    assert one.meaning[0].isupper() or one.meaning[0].isdigit()
    assert one.meaning.endswith(".")
    assert len(one.meaning) <= 200
    assert not set("<>*_`") & set(one.meaning)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The primary endpoint decides.", ["endpoint"]),
        ("Dice of seeds; a dice.", ["Dice", "seed"]),
        ("non-arm armed re-seed", []),
        ("a 95\u00a0% interval", ["95 % interval"]),
        ("Test set, then test", ["test set"]),
    ],
)
def test_words_are_whole_and_the_longest_term_wins(text, expected):
    assert [one.name for _, _, one in glossary.occurrences(text)] == expected


def test_every_term_is_documented_once():
    lines = glossary.documented().splitlines()
    assert len(lines) == len(glossary.TERMS)
    assert any("**CPM**" in line and "false positives per scan" in line for line in lines)
    assert "(also: arms)" not in glossary.documented()
