"""What is said of a trial that is under way: how far it is, and that nothing follows from it yet."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.text.words import label_of, number, plural


def so_far(results: Mapping[str, Any]) -> tuple[str, str]:
    """Return the first sentence on an unfinished trial, and the newest validation values."""
    progress = results["unfinished"]
    first = (
        f"Unfinished: {progress['ended']} of {plural(progress['jobs'], 'training run')} "
        f"{'has' if progress['ended'] == 1 else 'have'} ended ({plural(progress['epochs'], 'epoch')} so far). The test "
        "set has not been opened, so there is no verdict yet."
    )
    known = [f"{arm} {number(value)}" for arm, value in progress["validation"].items() if value is not None]
    if not known:
        return first, "No epoch has ended yet."
    label = label_of(results, results["endpoints"]["primary"])
    return first, (
        f"Validation {label} so far, mean over the latest epoch of each run: {', '.join(known)}. The epoch is chosen "
        "on these patients, so a difference here is not a result."
    )
