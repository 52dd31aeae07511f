"""The glossary explains each word once, and the words that verdict pages use are in it."""

import pytest

from equipoise.report.text import glossary


def test_terms_are_sorted_and_unique():
    names = [term.name.lower().replace(",", "") for term in glossary.TERMS]
    assert names == sorted(names)
    spellings = [spelling.lower() for term in glossary.TERMS for spelling in (term.name, *term.also)]
    assert len(spellings) == len(set(spellings))
    assert len({term.anchor for term in glossary.TERMS}) == len(names)


def test_every_meaning_is_plain_and_short():
    for term in glossary.TERMS:
        assert term.meaning.endswith("."), term.name
        assert 20 < len(term.meaning) < 220, term.name


@pytest.mark.parametrize("word", ["arm", "Test opening", "looks", "DRAW", "ledger", "CPM", "ECE", "margin", "surface Dice"])
def test_a_word_is_looked_up_whatever_its_spelling(word):
    term = glossary.term_named(word)
    assert term is not None
    assert f"## {term.name}\n{term.meaning}" in glossary.markdown()


def test_other_words_have_no_term():
    assert glossary.term_named("sandwich") is None
