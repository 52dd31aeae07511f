"""What the truth of a trial was, and which cases it leaves out: the first thing to know about a recommendation."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.text.words import plural


def truth_in_words(results: Mapping[str, Any]) -> str:
    """Return the sentences on the truth, from the cohort's notes and exclusions.

    >>> notes = ["Truth is the readers' opinion, not pathology."]
    >>> truth_in_words({"cohort": {"notes": notes, "excluded": [{"cases": 4, "reason": "undecided"}]}})
    "Truth is the readers' opinion, not pathology. Excluded beforehand: 4 cases (undecided)."
    """
    cohort = results["cohort"]
    origin = " ".join(note for note in cohort.get("notes") or () if note.startswith("Truth"))
    if not origin and results.get("audit"):
        references = [str(one["path"]) for one in results.get("lists") or () if one["kind"] == "reference"]
        origin = f"The truth is what {' and '.join(references) or 'the audited files'} state{'s' * bool(references)}."
    if not origin:
        origin = "The truth comes from the source, which does not state how it was obtained."
    rows = [row for row in cohort.get("excluded") or () if row["cases"]]
    reasons = [f"{plural(row['cases'], 'case')} ({row['reason']})" for row in rows]
    return f"{origin} Excluded beforehand: {'; '.join(reasons)}." if reasons else origin
