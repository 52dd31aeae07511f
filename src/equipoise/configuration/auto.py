"""The preset "auto": explicit settings of a network, from the cohort's fingerprint and the protocol's own patch."""

from typing import Any

from equipoise.configuration.fingerprint import Fingerprint
from equipoise.configuration.network import AUTO, BASE, network_of, sides_of
from equipoise.errors import ProtocolError
from equipoise.protocol import Arm, Named, Protocol

BUILT_IN = ("unet", "deeplab", "densenet")


def is_open(protocol: Protocol) -> bool:
    """Whether an arm's network is still to be configured."""
    return any(_preset(arm) == AUTO for arm in protocol.arms)


def resolved(protocol: Protocol, data: Fingerprint) -> tuple[Protocol, dict[str, Any]]:
    """Return the protocol with the numbers in place of every preset "auto", and these numbers by arm for the record.

    They depend on the data and the protocol alone, never on the machine or its speed: a plan has one lock everywhere.
    Raises ProtocolError for a network that has no rule.
    """
    chosen: dict[str, Any] = {}
    arms = []
    for arm in protocol.arms:
        if _preset(arm) != AUTO:
            arms.append(arm)
            continue
        settings = _settings(arm, protocol, data)
        chosen[arm.name] = settings
        given = {key: value for key, value in arm.model.settings.items() if key != "preset"}
        model = Named.model_validate({"name": arm.model.name, **settings, **given})
        arms.append(arm.model_copy(update={"model": model}))
    made = protocol.model_copy(update={"arms": tuple(arms)})
    # The text given says "auto"; `text` generates it from the numbers, so that the locked file has them too.
    made._text = ""
    return made, {"arms": chosen, "fingerprint": data.as_json()}


def _preset(arm: Arm) -> object:
    return arm.model.settings.get("preset")


def _settings(arm: Arm, protocol: Protocol, data: Fingerprint) -> dict[str, Any]:
    if arm.model.name not in BUILT_IN:
        raise ProtocolError(
            f'arms: {arm.name!r} has preset = "auto", which only {", ".join(BUILT_IN)} have; set the settings '
            f"of {arm.model.name!r}"
        )
    size = protocol.preprocessing.get("size")
    whole = (size,) * data.dims if isinstance(size, int) else size
    patch = protocol.training.patch_of(data.dims) or (tuple(map(int, whole)) if whole else None)
    return network_of(arm.model.name, sides_of(data, patch), BASE["cpu", data.dims], data.masks)
