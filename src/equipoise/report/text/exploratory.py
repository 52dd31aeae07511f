"""State why results are exploratory: they prove nothing that was planned before the test set was seen."""

from equipoise.report.text import audit
from equipoise.runfolder.read import RunFolder


def exploratory_reasons(run: RunFolder) -> list[str]:
    """Return every reason, as the end of a sentence; none where the results are those of the plan."""
    ledger = run.ledger
    if run.sources:
        return [audit.WHY, *ledger.cautions]
    reasons = []
    # Predictions that were made again after all were recorded once are an opening of their own: somebody may have
    # chosen with the numbers in sight.
    if ledger.unplanned:
        unplanned = f", {ledger.unplanned} of them unplanned" if run.lock["endpoints"].get("looks") else ""
        reasons.append(f"the test set was opened {ledger.test_openings} times{unplanned}")
    if ledger.plan_changed:
        reasons.append("the protocol differs from the one that was locked")
    # A record that was edited proves nothing about when the test set was opened.
    if not ledger.verified:
        reasons.append("its record could not be verified")
    return [*reasons, *ledger.cautions]
