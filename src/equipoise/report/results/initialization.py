"""Initial weights of the arms, and their frozen parameters."""

from collections.abc import Mapping
from typing import Any


def start(plan: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the weights file and frozen parameters of a locked arm; None where all are random and trained."""
    pretrained, frozen = plan.get("pretrained"), list(plan.get("freeze") or ())
    if pretrained is None and not frozen:
        return None
    return {"pretrained": pretrained["file"] if pretrained else None, "frozen": frozen}
