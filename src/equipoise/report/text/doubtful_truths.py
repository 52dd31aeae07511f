"""Sentences on truths that look wrong: masks unlike all others, classes that fill every image, copies of a picture."""

from collections.abc import Sequence

from equipoise.report.text.words import plural

_MOST_NAMED = 6


def unlike_mask(cases: Sequence[str], masks: int, least: float, most: float, *, named: bool) -> str:
    """Say that a few masks are far larger than all others.

    cases: their names; named: whether the sentence has them. masks: number of all. least: share of the image that each
    of them has at least. most: the largest share of any other mask.

    >>> unlike_mask(["c1"], 60, 0.99, 0.08, named=True)
    "Of 60 masks 1 fills 99 % of its image ('c1'), and no other more than 8 %: correct it if it is inverted."
    """
    one = len(cases) == 1
    size = f"fills {_percent(least)} of its image" if one else f"fill at least {_percent(least)} of their images"
    listed = _named(list(map(repr, cases))) if named else ", which `equipoise check` names"
    remedy = "correct it if it is inverted" if one else "correct them if they are inverted"
    return f"Of {masks} masks {len(cases)} {size}{listed}, and no other more than {_percent(most)}: {remedy}."


def covering_class(name: str, least: float, median: float) -> str:
    """Say that a class fills most of every image, as background does.

    >>> covering_class("tumour", 0.92, 0.99)[:67]
    "The class 'tumour' fills at least 92 % of every image (median 99 %)"
    """
    return (
        f"The class {name!r} fills at least {_percent(least)} of every image (median {_percent(median)}): if it is the "
        "background, name background first in cohort.classes, with its value first in cohort.values."
    )


def equal_pictures(pairs: Sequence[tuple[str, str]], *, named: bool) -> str:
    """Say that pictures of different patients are equal; named: with the cases.

    >>> equal_pictures([("a", "b")], named=True)[:60]
    'The pixels of 1 pair of cases of different patients are equa'
    """
    listed = _named([f"{a!r} and {b!r}" for a, b in pairs]) if named else ", which `equipoise check` names"
    return (
        f"The pixels of {plural(len(pairs), 'pair')} of cases of different patients are equal{listed}: they cannot be "
        "two patients, and count as two; correct the patients, or leave one case of each pair out."
    )


def channel_of_all(channel: str, cases: int, of: int) -> str:
    """Say that many patients have the very same channel. channel: its name, as "the channel t1". of: number of cases.

    >>> channel_of_all("the channel atlas", 40, 60)[:58]
    'The channel atlas is the same in 40 of 60 cases, as an atl'
    """
    return (
        f"{channel[:1].upper()}{channel[1:]} is the same in {cases} of {of} cases, as an atlas, a template or a "
        "background is: it says nothing of a patient and counts as no leak; where it is a scan, correct the files."
    )


def _named(names: Sequence[str]) -> str:
    """Return names in brackets; in quotes, so that outputs with pseudonyms replace short ones too."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f" ({'; '.join(names[:_MOST_NAMED])}{more})" if names else ""


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
