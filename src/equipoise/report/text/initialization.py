"""Where the weights of the arms start from, and which of them are not trained, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.report.text.words import listed


def start_in_words(start: Mapping[str, Any]) -> str:
    """A start for a table.

    >>> start_in_words({"pretrained": "net.safetensors", "frozen": ["encoder.*"]})
    'from net.safetensors, encoder.* frozen'
    """
    parts = [f"from {start['pretrained']}"] if start["pretrained"] else []
    parts += [f"{listed(start['frozen'])} frozen"] if start["frozen"] else []
    return ", ".join(parts)


def initialization(arms: Sequence[Mapping[str, Any]], seeds: str) -> str:
    """The initialization of all arms, as a checklist asks for it.

    >>> initialization([{"name": "a", "start": None}], "0, 1")
    'Random, from the seeds 0, 1; the same seeds in every arm.'
    """
    others = [f"; {arm['name']}: {start_in_words(arm['start'])}" for arm in arms if arm.get("start")]
    return f"Random, from the seeds {seeds}; the same seeds in every arm{''.join(others)}."
