"""Convert reasons to sentences: `sentence` for one, `in_words` for a whole structure of results."""

from collections.abc import Callable, Mapping
from typing import Any

from equipoise.report.text import judgement_reasons, pair_reasons, plan_reasons, run_reasons
from equipoise.statistics.reasons import Reason

WRITERS: Mapping[str, Callable[..., str]] = {
    writer.__name__: writer
    for module in (judgement_reasons, pair_reasons, plan_reasons, run_reasons)
    for writer in module.WRITERS
}
"""Code → function that writes the sentence from the facts; it receives nested reasons as sentences."""


def sentence(reason: Reason | None) -> str:
    """Return the sentence of a reason; empty for None.

    >>> sentence(Reason("few_patients", patients=8, fewest=10))
    "Only 8 test patients; below 10 only each arm's own interval is given."
    """
    if reason is None:
        return ""
    facts = {name: sentence(value) if isinstance(value, Reason) else value for name, value in reason.items}
    return WRITERS[reason.code](**facts)


def in_words(value: Any) -> Any:
    """Return the same structure of dictionaries and lists, with a sentence for every reason."""
    if isinstance(value, Reason):
        return sentence(value)
    if isinstance(value, Mapping):
        return {key: in_words(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [in_words(inner) for inner in value]
    return value
