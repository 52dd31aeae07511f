"""The preset "auto" becomes numbers, and nothing else of a protocol changes."""

from collections.abc import Callable

import pytest

from equipoise.configuration.auto import is_open, resolved
from equipoise.configuration.fingerprint import Fingerprint
from equipoise.errors import ProtocolError
from equipoise.protocol import Protocol
from equipoise.trials.plan import plan, read

Invented = Callable[..., Fingerprint]
TEXT = """
[cohort]
source = "phantom"
task = "segmentation"
[training]
patch = [40, 56, 40]
[[arms]]
name = "own"
model = {name = "unet", preset = "tiny"}
[[arms]]
name = "configured"
model = {name = "unet", preset = "auto", deep_supervision = true}
"""


def test_auto_becomes_the_numbers_that_explicit_settings_have(invented: Invented) -> None:
    protocol = Protocol.parse(TEXT)
    assert is_open(protocol)
    made, record = resolved(protocol, invented((35, 50, 36)))
    assert not is_open(made)
    assert made.arms[0] == protocol.arms[0]
    assert made.arms[1].model.settings == {"channels": [8, 16, 32, 64], "deep_supervision": True}
    assert record["arms"] == {"configured": {"channels": [8, 16, 32, 64]}}
    assert record["fingerprint"]["median_shape"] == [35, 50, 36]
    explicit = TEXT.replace('preset = "auto"', "channels = [8, 16, 32, 64]")
    assert made.sha256() == Protocol.parse(explicit).sha256()
    assert Protocol.parse(made.text).sha256() == made.sha256(), "the locked text has the numbers"


def test_auto_of_a_network_without_a_rule_is_refused(invented: Invented) -> None:
    protocol = Protocol.parse(TEXT.replace('name = "unet", preset = "auto"', 'name = "late-fusion", preset = "auto"'))
    with pytest.raises(ProtocolError, match="which only unet, deeplab, densenet have"):
        resolved(protocol, invented((35, 50, 36)))


def test_a_plan_has_the_numbers_and_where_they_come_from() -> None:
    protocol = Protocol.parse(
        TEXT.replace('source = "phantom"', 'source = "phantom"\ncases = 12\nsize = 16').replace(
            "patch = [40, 56, 40]", "batch_size = 2"
        )
    )
    trial = plan(*read(protocol), "unused")
    assert trial.configured["arms"] == {"configured": {"channels": [16, 32, 64]}}
    assert trial.jobs[1].arm.model.settings["channels"] == [16, 32, 64]
    assert trial.protocol.sha256() != protocol.sha256()
