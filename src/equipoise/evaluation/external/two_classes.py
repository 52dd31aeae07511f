"""Of which of two classes a single score is: by the caller's word or the classes' names; else the truth is asked about.

The classes stand in the truth, which mostly is another file than the scores: what is to be corrected is there.
"""

from collections import Counter
from collections.abc import Sequence

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.called_classes import POSITIVES, to_name
from equipoise.lookup import nearest


def sides(truths: Sequence[str], source: str, where: str, options: AuditOptions) -> tuple[str, str]:
    """Return the class that a single score is about, and the other one.

    truths: of the cases of `source`. where: in which file they stand, in words. Raises PredictionError where that is
    not clear, or there are more than two classes.
    """
    counts = Counter(truths)
    seen = sorted(counts)
    if len(seen) > 2:
        _refuse_many(counts, source, where)
    if options.positive is not None:
        others = [one for one in seen if one != options.positive]
        if len(others) != 1:
            raise PredictionError(
                f"{where} has no class {options.positive!r} (--positive) beside another one; "
                f"{nearest(options.positive, seen)}"
            )
        return options.positive, others[0]
    for one in seen:
        partner = POSITIVES.get(one.lower())
        if one.lower() in POSITIVES and {other.lower() for other in seen} <= {one.lower(), partner, "-1"}:
            return one, next((other for other in seen if other != one), str(partner))
    if len(seen) == 1 and seen[0].lower() in POSITIVES.values():
        positive = next(one for one, other in POSITIVES.items() if other == seen[0].lower())
        return positive, seen[0]
    raise PredictionError(
        f"{source} has one score, but it is not clear of which class of {where} ({', '.join(seen)}); name the class "
        f"that a high score means ({to_name(seen)})"
    )


def _refuse_many(counts: Counter[str], source: str, where: str) -> None:
    """Raise PredictionError for more than two classes beside one score: two ways to write one, or a third class."""
    spellings: dict[str, list[str]] = {}
    for name, _ in counts.most_common():
        spellings.setdefault("".join(name.split()).casefold(), []).append(name)
    several = [names for names in spellings.values() if len(names) > 1]
    if several:
        usual, *odd = several[0]
        raise PredictionError(
            f"{where} calls a class {usual!r} ({counts[usual]} cases) and {odd[0]!r} ({counts[odd[0]]}), which differ "
            "in capitals or blanks alone; write it one way"
        )
    further = counts.most_common()[2:]
    named = ", ".join(f"{name!r} ({number})" for name, number in further[:4])
    seen = sorted(counts)
    listed = ", ".join(seen[:4]) + (", …" if len(seen) > 4 else "")
    raise PredictionError(
        f"{where} has {len(seen)} classes ({listed}), and the one score of {source} tells two apart; leave the cases "
        f"of the others out of all files, such as {named}, or give them one of the two names there, or give a column "
        "score_<class> for each class in the file of scores"
    )
