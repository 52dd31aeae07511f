"""Rows of training and validation in the tables of predictions: what an arm was trained on, and what is not counted."""

from collections.abc import Callable, Collection, Iterable, Iterator

from equipoise.errors import PredictionError
from equipoise.evaluation.external.likeness import plain
from equipoise.evaluation.external.lists import ListFile
from equipoise.evaluation.predictions import Predictions

_TEST, _MOST_LISTED = "test", 6


def shared_names(trained: Iterable[str], tested: Iterable[str]) -> list[tuple[str, str]]:
    """Return (tested name, the name among the trained ones) where both are one name, however they are spelt.

    >>> shared_names(["P07", "P9"], ["p7", "p8"])
    [('p7', 'P07')]
    """
    trained = set(trained)
    known = {plain(name): name for name in sorted(trained, reverse=True)}
    pairs = ((name, name if name in trained else known.get(plain(name))) for name in sorted(set(tested)))
    return [(name, other) for name, other in pairs if other is not None]


def spelt(name: str, other: str) -> str:
    """Return a name, with the other spelling of it where there is one."""
    return repr(name) if name == other else f"{name!r} (as {other!r})"


def not_trained(table: Predictions, trained: ListFile, *, allowed: bool) -> list[str]:
    """Refuse test cases or patients that a training list names, or note their number."""
    test = table.split == _TEST
    for key, tested in (("case", table.case[test]), ("patient", table.patient[test])):
        both = shared_names(trained.names.get(key, frozenset()), tested.tolist())
        if both and not allowed:
            raise PredictionError(
                f"{len(both)} test {key}s are also in the training list {trained.path}, first {spelt(*both[0])}; test "
                "on other cases, because results on training cases are too optimistic"
            )
        if both:
            note = (
                f"{len(both)} test {key}s are also in the training list ({spelt(*both[0])} among them), which was "
                "allowed: the results are better than new patients would give."
            )
            return [note]
    return [f"No test case or patient is in the given training list ({trained.cases:,} rows)."]


def no_trained_rows(table: Predictions, *, allowed: bool) -> list[str]:
    """Refuse an arm whose own rows of training or validation hold its test cases or their patients, or note them.

    Within a fold alone, because what one fold tests is what the networks of the others were trained on. Runs of an arm
    test the same cases, so that what one of them was trained on is a training case of the arm.
    """
    for arm in table.arms():
        own = table.where(table.arm == arm)
        for key, of in _KEYS:
            for part in ("train", "validation"):
                both = list(dict.fromkeys(pair for fold in _folds(own, part, of) for pair in fold))
                if not both:
                    continue
                text = (
                    f"{len(both)} {key}s of the test rows of arm {arm!r} are also in its rows of split {part!r}, first "
                    f"{spelt(*both[0])}"
                )
                if not allowed:
                    raise PredictionError(
                        f"{text}: its networks had seen them; test on other {key}s, or continue anyway "
                        "(--allow-trained)"
                    )
                return [f"{text}, which was allowed: the results are better than new patients would give."]
    return []


_Names = Callable[[Predictions], list[str]]
_KEYS: tuple[tuple[str, _Names], ...] = (
    ("case", lambda table: table.case.tolist()),
    ("patient", lambda table: table.patient.tolist()),
)


def _folds(own: Predictions, part: str, of: _Names) -> Iterator[list[tuple[str, str]]]:
    """Yield what a part of each fold of an arm shares with the test rows of the fold; a fold without any, with all."""
    test, other = own.where(own.split == _TEST), own.where(own.split == part)
    tested = set(test.fold.tolist())
    for fold in sorted(set(other.fold.tolist())):
        against = test.where(test.fold == fold) if fold in tested else test
        yield shared_names(of(other.where(other.fold == fold)), of(against))


def not_counted(table: Predictions) -> list[str]:
    """Say how many rows of which part of which arm no verdict counts, and where arms leave out other cases."""
    rows = [
        f"{int(((table.arm == arm) & (table.split == part)).sum()):,} of {part} of {arm}"
        for arm in table.arms()
        for part in ("train", "validation")
        if ((table.arm == arm) & (table.split == part)).any()
    ]
    if not rows:
        return []
    listed = ", ".join(rows[:_MOST_LISTED]) + (", …" if len(rows) > _MOST_LISTED else "")
    aside = {arm: untested(table.where(table.arm == arm)) for arm in table.arms()}
    number = len(set().union(*aside.values()))
    cases = f": {number:,} {'case is' if number == 1 else 'cases are'} tested by no row" if number else ""
    return [f"Rows of other parts than test were not counted ({listed}){cases}.", *_unlike(aside)]


def untested(table: Predictions) -> set[str]:
    """Return the cases that have rows of other parts alone."""
    return set(table.case.tolist()) - set(table.case[table.split == _TEST].tolist())


def _unlike(aside: dict[str, set[str]]) -> list[str]:
    """Say where an arm leaves out cases that another does not: perhaps those on which it fails."""
    everywhere: Collection[str] = set.intersection(*aside.values())
    own = {arm: sorted(cases.difference(everywhere)) for arm, cases in aside.items() if cases.difference(everywhere)}
    if not own:
        return []
    arm, cases = max(own.items(), key=lambda pair: len(pair[1]))
    note = (
        f"The arms do not leave out the same cases: {len(cases):,} of other parts of {arm}, {cases[0]!r} first, are "
        "not in such parts of every other arm; give all arms the same parts, so that none is spared the cases on which "
        "it fails."
    )
    return [note]
