"""Sentences on the initial weights of the arms and their frozen parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.report.text.words import listed


def start_in_words(start: Mapping[str, Any]) -> str:
    """Describe an arm's initial weights for a table.

    >>> start_in_words({"pretrained": "net.safetensors", "frozen": ["encoder.*"]})
    'from net.safetensors, encoder.* frozen'
    """
    parts = [f"from {start['pretrained']}"] if start["pretrained"] else []
    parts += [f"{listed(start['frozen'])} frozen"] if start["frozen"] else []
    return ", ".join(parts)


def initialization(arms: Sequence[Mapping[str, Any]], seeds: str) -> str:
    """Describe the initialization of all arms for a checklist.

    >>> initialization([{"name": "a", "start": None}], "0, 1")
    'Random, from the seeds 0, 1; the same seeds in every arm.'
    """
    others = [f"; {arm['name']}: {start_in_words(arm['start'])}" for arm in arms if arm.get("start")]
    return f"Random, from the seeds {seeds}; the same seeds in every arm{''.join(others)}."
