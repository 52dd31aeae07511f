"""Sentences on the openings of the test set, and on why a trial with planned looks continued or stopped."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.results.interim_analysis import undecided
from equipoise.report.text.words import plural


def opened_in_words(results: Mapping[str, Any]) -> str:
    """State when the test set was opened; the text follows "the test set was opened".

    >>> opened_in_words({"ledger": {"test_openings": 1, "unplanned_openings": 0}, "looks": None})
    'once'
    """
    total, looks = results["ledger"]["test_openings"], results["looks"]
    # A planned look is no second opening, as nobody chooses anything with its answers in sight; any other opening makes
    # the number of all of them the honest statement.
    if looks is None or results["ledger"]["unplanned_openings"]:
        return {0: "at an unrecorded time", 1: "once", 2: "twice"}.get(total, f"{total} times")
    taken = [str(look["seeds"]) for look in looks if look["comparisons"] is not None]
    planned = " and ".join(str(look["seeds"]) for look in looks)
    if len(taken) == len(looks):
        return f"at the planned looks at {planned} training runs"
    return f"once, at the first of the looks planned at {planned} training runs"


def stopped_in_words(results: Mapping[str, Any]) -> str | None:
    """State why a trial with looks continued or stopped; None for a trial without looks or before its first."""
    looks = results["looks"]
    if looks is None or looks[0]["comparisons"] is None:
        return None
    first, last = looks[0]["seeds"], looks[-1]["seeds"]
    level = f"{looks[0]['level']:.4f}"
    still_open = undecided(results, first)
    # At the last look everything was judged anew, so a difference of the first look may be gone: a verdict against its
    # own interval would be worse than the little power that this costs.
    if looks[-1]["comparisons"] is not None:
        return (
            f"At the planned look at {first} of {last} training runs {plural(len(still_open), 'comparison')} remained "
            f"undecided at the level {level}, so all {last} were trained; the verdicts are those of the last look, at "
            f"the level {looks[-1]['level']:.4f}."
        )
    if still_open:
        return f"The look at {first} of {last} training runs left {plural(len(still_open), 'comparison')} undecided."
    return (
        f"Stopped as planned at the look at {first} of {last} training runs: every comparison was decided there, at "
        f"the level {level} that the plan assigns to it."
    )
