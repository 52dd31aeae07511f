"""Whether the program that trains an arm is there; nothing of it is imported, and no torch."""

import importlib.util

from equipoise.errors import ProtocolError

PACKAGE = "nnunetv2"


def refuse_absent(arm: str) -> None:
    """Raise ProtocolError, with the remedy, where nnU-Net is not installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise ProtocolError(
            f"arm {arm!r} is trained by nnU-Net, and the package {PACKAGE} is not installed; install equipoise[nnunet]"
        )
