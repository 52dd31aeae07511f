"""Where the weights of the arms start from, and which of them are not trained, in numbers and words."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.report.text.words import listed


def start(plan: Mapping[str, Any]) -> dict[str, Any] | None:
    """The weights file and the frozen parameters of a locked arm; None where all is random and trained."""
    pretrained, frozen = plan.get("pretrained"), list(plan.get("freeze") or ())
    if pretrained is None and not frozen:
        return None
    return {"pretrained": pretrained["file"] if pretrained else None, "frozen": frozen}


def start_in_words(found: Mapping[str, Any]) -> str:
    """A start for a table.

    >>> start_in_words({"pretrained": "net.safetensors", "frozen": ["encoder.*"]})
    'from net.safetensors, encoder.* frozen'
    """
    parts = [f"from {found['pretrained']}"] if found["pretrained"] else []
    parts += [f"{listed(found['frozen'])} frozen"] if found["frozen"] else []
    return ", ".join(parts)


def initialization(arms: Sequence[Mapping[str, Any]], seeds: str) -> str:
    """The initialization of all arms, as a checklist asks for it.

    >>> initialization([{"name": "a", "start": None}], "0, 1")
    'Random, from the seeds 0, 1; the same seeds in every arm.'
    """
    others = [f"; {arm['name']}: {start_in_words(arm['start'])}" for arm in arms if arm.get("start")]
    return f"Random, from the seeds {seeds}; the same seeds in every arm{''.join(others)}."
