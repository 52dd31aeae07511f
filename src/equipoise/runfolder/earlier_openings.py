"""Earlier openings of a trial's test cases, as its lock and its ledger recorded them, and what they count."""

from collections.abc import Mapping
from typing import Any

from equipoise.runfolder.ledger import PREDICTED, TEST_OPENED, Ledger

Opening = Mapping[str, Any]
_NAMED = 3
"""Siblings of a study that a sentence names."""


def prior_openings(lock: Mapping[str, Any], ledger: Ledger) -> tuple[Opening, ...]:
    """Return the earlier openings of the same test cases that were known at the lock, or at this trial's opening.

    Among them are runs of the very plan that gave other predictions (`same_plan`).
    """
    lists = [
        lock.get("prior_openings"),
        *(e.data.get("prior_openings") for e in ledger.events if e.kind in (TEST_OPENED, PREDICTED)),
    ]
    rows = [row for rows in lists if isinstance(rows, list) for row in rows if isinstance(row, Mapping)]
    return tuple({str(row.get("opening")): row for row in rows}.values())


def reuse_of(lock: Mapping[str, Any]) -> str:
    """Return the reason for which the plan opens test cases again; empty where it states none."""
    reason = lock.get("reuse")
    return reason if isinstance(reason, str) else ""


def counts(row: Opening, lock: Mapping[str, Any]) -> bool:
    """Return whether an earlier opening makes this trial exploratory."""
    # What an earlier version recorded does not say whether the arms are related.
    if reuse_of(lock) and row.get("in_common") == []:
        return False
    # Trials of one study are counted by its family, which holds the later ones too.
    return not (row.get("same_study") is True and _shares(_family(lock)))


def cautions_of_openings(lock: Mapping[str, Any], rows: tuple[Opening, ...]) -> list[str]:
    """Return why earlier openings, or other trials of the same study, make the results exploratory."""
    counted = [row for row in rows if counts(row, lock)]
    unended = [row for row in counted if row.get("unended") is True]
    same = [row for row in counted if row.get("same_plan") is True and row not in unended]
    validated = [row for row in counted if is_validation(row)]
    others = [row for row in counted if row not in same and row not in unended and row not in validated]
    of_others = [*_of_other_plans(others), *_of_validated(validated)]
    return [*_of_unended(unended), *_of_the_same_plan(same), *of_others, *_of_the_study(_family(lock))]


def is_validation(row: Opening) -> bool:
    """Return whether a row is of a trial that validated on these test cases, and need not have opened any."""
    return row.get("validated") is True


def _of_unended(rows: list[Opening]) -> list[str]:
    if not rows:
        return []
    return [f"the test set of this plan was opened before, on {_days(rows)}, in an opening that has not ended"]


def _of_the_same_plan(rows: list[Opening]) -> list[str]:
    if not rows:
        return []
    return [f"this plan was run before, on {_days(rows)}, and gave other results"]


def _days(rows: list[Opening]) -> str:
    """Return the day of the first row, and how many more there are."""
    more = f", and {len(rows) - 1} time{'s' * (len(rows) > 2)} more" if len(rows) > 1 else ""
    return f"{str(rows[0].get('opened_at', ''))[:10]}{more}"


def remedy_of_openings(lock: Mapping[str, Any], rows: tuple[Opening, ...]) -> str:
    """Return what makes results confirmatory although earlier openings count, as the end of a sentence."""
    counted = [row for row in rows if counts(row, lock)]
    if counted and all(row.get("unended") is True for row in counted):
        return "end the run that was interrupted, by the same command in its folder, in place of a new one"
    if any(texts_in(row, "in_common") for row in counted):
        # As docs/decisions/0024 has it: a reason does not undo tuning on the test set.
        vain = "; split.reuse does not help where arms are related" if lock.get("reuse") else ""
        or_seen = " or validated on" if any(is_validation(row) for row in counted) else ""
        return f"a verdict needs test cases that no trial has opened{or_seen}{vain}"
    return 'if these test cases may be opened again, state why before the run: split.reuse = "REASON"'


def _of_other_plans(rows: list[Opening]) -> list[str]:
    if not rows:
        return []
    times = _times(rows)
    most = max(rows, key=lambda row: number_in(row, "test_cases_shared"))
    shared, cases = number_in(most, "test_cases_shared"), number_in(most, "test_cases")
    if shared == 0:
        return [f"other test cases of its cohort had been opened {times} before by other plans for related arms"]
    part = f"{shared} of its {cases} test cases" if cases else f"{shared} of its test cases"
    return [f"{_most_of(rows)}{part} had been opened {times} before by other plans{_related(rows)}"]


def _of_validated(rows: list[Opening]) -> list[str]:
    if not rows:
        return []
    most = max(rows, key=lambda row: number_in(row, "test_cases_shared"))
    part = f"{number_in(most, 'test_cases_shared')} of its {number_in(most, 'test_cases')} test cases"
    return [f"{_most_of(rows)}{part} had been validated on {_times(rows)} before by other plans{_related(rows)}"]


def _times(rows: list[Opening]) -> str:
    return "once" if len(rows) == 1 else f"{len(rows)} times"


def _most_of(rows: list[Opening]) -> str:
    return "" if len(rows) == 1 else "up to "


def _related(rows: list[Opening]) -> str:
    """Name what the arms have in common with those of earlier openings."""
    common = dict.fromkeys(one for row in rows for one in texts_in(row, "in_common"))
    return f", with the same {', '.join(common)}" if common else ", with other arms, and the plan states no split.reuse"


def _of_the_study(family: Mapping[str, Any]) -> list[str]:
    shares = _shares(family)
    if not shares or family.get("correction") == "bonferroni":
        return []
    names = [str(row.get("trial")) for row in shares]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    text = (
        f"it is one of {len(names) + 1} trials of the study {family.get('name')} on these test cases or their cohort "
        f"(the others: {', '.join(names[:_NAMED])}{more}), and the study states no correction for their number"
    )
    return [text]


def _family(lock: Mapping[str, Any]) -> Mapping[str, Any]:
    family = lock.get("study")
    return family if isinstance(family, Mapping) else {}


def _shares(family: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    shares = family.get("shares")
    return [row for row in shares if isinstance(row, Mapping)] if isinstance(shares, list) else []


def number_in(row: Opening, key: str) -> int:
    """Return a number of a recorded opening; 0 where an earlier version recorded none."""
    value = row.get(key)
    return value if isinstance(value, int) else 0


def texts_in(row: Opening, key: str) -> tuple[str, ...]:
    """Return a list of texts of a recorded opening; empty where an earlier version recorded none."""
    value = row.get(key)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list | tuple) else ()
