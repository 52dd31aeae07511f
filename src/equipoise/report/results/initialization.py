"""Where the weights of the arms start from, and which of them are not trained."""

from collections.abc import Mapping
from typing import Any


def start(plan: Mapping[str, Any]) -> dict[str, Any] | None:
    """The weights file and the frozen parameters of a locked arm; None where all is random and trained."""
    pretrained, frozen = plan.get("pretrained"), list(plan.get("freeze") or ())
    if pretrained is None and not frozen:
        return None
    return {"pretrained": pretrained["file"] if pretrained else None, "frozen": frozen}
