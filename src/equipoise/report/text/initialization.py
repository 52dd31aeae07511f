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


def _of_each_arm(arms: Sequence[Mapping[str, Any]], used: Sequence[tuple[str, tuple[int, ...], int]]) -> str:
    """Describe seeds that differ between arms, or of which some runs failed."""
    own = [
        f"{', '.join(map(str, seeds))} of {name}" + (f" ({failed} of them failed)" if failed else "")
        for name, seeds, failed in used
    ]
    starts = [f"; {arm['name']}: {start_in_words(arm['start'])}" for arm in arms if arm.get("start")]
    return f"Random, from the seeds {listed(own)}{''.join(starts)}."


def initialization(arms: Sequence[Mapping[str, Any]], seeds: str) -> str:
    """Describe the initialization of all arms for a checklist.

    >>> initialization([{"name": "a", "start": None}], "0, 1")
    'Random, from the seeds 0, 1; the same seeds in every arm.'
    >>> initialization([{"name": "a", "start": None, "seeds": [0]}, {"name": "b", "start": None, "seeds": [1]}], "0, 1")
    'Random, from the seeds 0 of a and 1 of b.'
    """
    used = [(str(arm["name"]), tuple(arm.get("seeds") or ()), arm.get("failed_jobs") or 0) for arm in arms]
    if len({own for _, own, _ in used}) > 1 or any(failed for _, _, failed in used):
        return _of_each_arm(arms, used)
    others = [f"; {arm['name']}: {start_in_words(arm['start'])}" for arm in arms if arm.get("start")]
    return f"Random, from the seeds {seeds}; the same seeds in every arm{''.join(others)}."
