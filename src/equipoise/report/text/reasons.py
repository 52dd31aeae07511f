"""Convert reasons to sentences: `sentence` for one, `in_words` for a whole structure of results."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from equipoise.report.text import (
    budget_reasons,
    design_reasons,
    earlier_reasons,
    judgement_reasons,
    pair_reasons,
    plan_reasons,
    run_reasons,
)
from equipoise.statistics.reasons import Reason

WRITERS: Mapping[str, Callable[..., str]] = {
    writer.__name__: writer
    for module in (
        budget_reasons, design_reasons, earlier_reasons, judgement_reasons, pair_reasons, plan_reasons, run_reasons,
    )
    for writer in module.WRITERS
}  # fmt: skip
"""Code → function that writes the sentence from the facts; it receives nested reasons as sentences."""


_ARMS = frozenset(("arm", "a", "b", "winner", "loser", "first", "smaller", "baseline"))
"""The facts that name an arm or a trivial rule."""


def sentence(reason: Reason | None, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the sentence of a reason; empty for None. names: the display names of trivial rules.

    >>> sentence(Reason("few_patients", patients=8, fewest=10))
    'Only 8 test patients, and a verdict needs at least 10; only the interval of each arm is given.'
    """
    if reason is None:
        return ""
    facts = {name: in_words(value, names) for name, value in reason.items}
    facts |= {name: names.get(value, value) for name, value in facts.items() if name in _ARMS and type(value) is str}
    return WRITERS[reason.code](**facts)


def in_words(value: Any, names: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Return the same structure of dictionaries and lists, with a sentence for every reason; names as in `sentence`."""
    if isinstance(value, Reason):
        return sentence(value, names)
    if isinstance(value, Mapping):
        return {key: in_words(inner, names) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [in_words(inner, names) for inner in value]
    return value
