"""Sentences on the openings of the test set, and on why a trial with planned looks continued or stopped."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.results.interim_analysis import undecided
from equipoise.report.text.words import plural
from equipoise.runfolder.earlier_openings import number_in


def opened_in_words(results: Mapping[str, Any]) -> str:
    """State when the test set was opened, by other plans too; the text follows "the test set was opened".

    >>> results = {"ledger": {"test_openings": 1, "unplanned_openings": 0}, "looks": None}
    >>> opened_in_words(results)
    'once'
    >>> opened_in_words(results | {"prior_openings": [{"test_cases_shared": 9, "test_cases": 39}]})
    'once by this trial, and once before by other plans (9 of its 39 cases)'
    """
    own, before = _opened_here(results), _opened_before(results)
    return f"{own} by this trial, and {before}" if before else own


def _opened_before(results: Mapping[str, Any]) -> str:
    """State how often other plans opened some of these test cases; empty where none is known to have."""
    rows = [row for row in results.get("prior_openings") or () if number_in(row, "test_cases_shared")]
    if not rows:
        return ""
    times = "once" if len(rows) == 1 else f"{len(rows)} times"
    most = max(rows, key=lambda row: number_in(row, "test_cases_shared"))
    shared, cases = number_in(most, "test_cases_shared"), number_in(most, "test_cases")
    of = f" of its {cases}" if cases else " of its"
    return f"{times} before by other plans ({'up to ' * (len(rows) > 1)}{shared}{of} cases)"


def _opened_here(results: Mapping[str, Any]) -> str:
    """State when this trial opened its test set."""
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
